-- One decision of the exact sliding-window log, all windows at once, all or nothing. Begins with sliding_log.lua.
--
-- KEYS[1]  the log
-- ARGV[1]  cost: how many requests this one is worth (>= 1)
-- ARGV[2]  stamp to take back when refused ('' = none): the first unit of a request whose other units are asked for now
-- ARGV[3…] pairs: limit, window in microseconds
--
-- Returns { admitted 0|1, stamp, then per window: remaining, wait, reset } in microseconds: `wait` until a refused
-- request of this cost would fit (0 when it does), `reset` until the oldest counted entry leaves the window.
local log = KEYS[1]
local cost = tonumber(ARGV[1])
local time = redis.call('TIME')
local size, now, rewritten = open_log(log, time[1] * 1000000 + time[2])

local longest, largest = 0, 0
local admitted = 1
local reply = { 0, '' }
for i = 3, #ARGV, 2 do
  local limit, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if window > longest then longest = window end
  if limit > largest then largest = limit end
  local remaining, wait, reset = look(log, size, now, cost, limit, window)
  if wait > 0 then admitted = 0 end
  reply[#reply + 1] = remaining
  reply[#reply + 1] = wait
  reply[#reply + 1] = reset
end

local stamp = string.format('%.0f', now)
if admitted == 1 then
  push(log, stamp, cost, largest)
  for i = 3, #reply, 3 do
    reply[i] = reply[i] - cost
    -- The first entry of a window is this one: it leaves when the window has passed.
    if reply[i + 2] == 0 then reply[i + 2] = tonumber(ARGV[4 + (i - 3) / 3 * 2]) end
  end
elseif ARGV[2] ~= '' then
  redis.call('LREM', log, 1, ARGV[2])
end
if admitted == 1 or rewritten then redis.call('PEXPIRE', log, math.ceil(longest / 1000)) end
reply[1] = admitted
reply[2] = stamp
return reply
