-- One decision of the exact sliding-window log, all windows at once, all or nothing.
--
-- KEYS[1]  list of admission times in microseconds, newest first, trimmed to the largest limit
-- ARGV[1]  cost: how many requests this one is worth (>= 1)
-- ARGV[2]  stamp to take back when refused ('' = none): the first unit of a request whose other units are asked for now
-- ARGV[3…] pairs: limit, window in microseconds
--
-- Returns { admitted 0|1, stamp, then per window: remaining, wait, reset } in microseconds: `wait` until a refused
-- request of this cost would fit (0 when it does), `reset` until the oldest counted entry leaves the window.
--
-- A window (L, W) admits cost n when the entry at index L-n is absent or at least W old: then at most L-n entries are
-- younger than W. Exact in both directions, O(log L) per window (binary search, only to tell what remains).
local log = KEYS[1]
local cost = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local size = redis.call('LLEN', log)
local rewritten = false
local newest = tonumber(size > 0 and redis.call('LINDEX', log, 0) or 0)
if newest > now + 1000000 then
  -- The clock was set back. Entries keep their distances but may not lie in the future, or the key would stay locked
  -- for longer than its window.
  local entries = redis.call('LRANGE', log, 0, -1)
  local shift = newest - now
  rewritten = true
  redis.call('DEL', log)
  for i = 1, #entries do
    redis.call('RPUSH', log, string.format('%.0f', entries[i] - shift))
  end
elseif newest > now then
  now = newest
end

local longest, largest = 0, 0
local admitted = 1
local reply = { 0, '' }
for i = 3, #ARGV, 2 do
  local limit, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if window > longest then longest = window end
  if limit > largest then largest = limit end
  local since = now - window

  -- `used`: how many entries are younger than the window. Newest first, so a binary search finds the first older one.
  local low, high = 0, size
  if size > 0 and tonumber(redis.call('LINDEX', log, -1)) > since then
    low = size
  else
    while low < high do
      local middle = math.floor((low + high) / 2)
      if tonumber(redis.call('LINDEX', log, middle)) > since then low = middle + 1 else high = middle end
    end
  end
  local used = low

  local wait, reset = 0, 0
  if used > 0 then reset = tonumber(redis.call('LINDEX', log, used - 1)) + window - now end
  if used + cost > limit then
    admitted = 0
    -- The entry whose leaving makes room; a cost above the limit never fits, a whole window is then as good as any.
    if cost > limit then wait = window
    else wait = tonumber(redis.call('LINDEX', log, limit - cost)) + window - now end
  end
  reply[#reply + 1] = limit - used
  reply[#reply + 1] = wait
  reply[#reply + 1] = reset
end

local stamp = string.format('%.0f', now)
if admitted == 1 then
  for _ = 1, cost do redis.call('LPUSH', log, stamp) end
  redis.call('LTRIM', log, 0, largest - 1)
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
