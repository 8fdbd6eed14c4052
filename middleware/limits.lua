-- One decision on everything that limits a request, for its key and its tenant: all or nothing, reserved until settled.
-- Begins with sliding_log.lua and reservations.lua.
--
-- KEYS     for each subject four: the log of requests, tokens, leases, and money: a hash of nano-USD spent by UTC day
--          (20261121) and month (202611)
-- ARGV[1]  cost: how many requests this one is worth (>= 1)
-- ARGV[2]  id of the reservation; '' reserves nothing, and then only requests are limited
-- ARGV[3]  tokens, ARGV[4] nano-USD to reserve, ARGV[5] the lease in microseconds
-- ARGV[6…] for each subject: 1 if it reserves, else 0; then its limits, -1 for none: tokens per minute, concurrency,
--          nano-USD per day, per month; then how many windows, and for each: limit, microseconds
--
-- Returns { admitted 0|1, stamp, then for each limit that there is: remaining, wait, reset }, in the order: windows,
-- tokens, concurrency, day, month. Times in microseconds; a wait of 0 fits, a wait of -1 never will in this period.
local cost, id = tonumber(ARGV[1]), ARGV[2]
local tokens_asked, nano_asked, length = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local asks = id ~= ''
local clock, seconds = clock_now()
local LOOKED_AT = 256 -- entries at most, to tell when enough of them will have left

-- UTC day and month, and the microseconds left of each. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
local function periods()
  local days = math.floor(seconds / 86400)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local lengths = { 31, leap and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  local name = string.format('%04d%02d', year, month)
  local day_left = (days + 1) * 86400 - seconds
  return string.format('%s%02d', name, day), name, day_left * 1000000,
    (day_left + (lengths[month] - day) * 86400) * 1000000
end

local admitted = 1
local reply = { 0, '' }
local taken_at = {} -- what an admission takes from the figures at these places of the reply
local function tell(remaining, wait, reset, taken)
  if wait ~= 0 then admitted = 0 end
  taken_at[#reply + 1] = taken
  reply[#reply + 1] = remaining
  reply[#reply + 1] = wait
  reply[#reply + 1] = reset
end

-- Until when a request for so many tokens must wait.
local function tokens_wait(tokens, used, limit)
  if not asks or used + tokens_asked <= limit then return 0 end
  if tokens_asked > limit then return MINUTE end
  local oldest = redis.call('ZRANGEBYSCORE', tokens, 1, '+inf', 'WITHSCORES', 'LIMIT', 0, LOOKED_AT)
  local freed = 0
  for i = 1, #oldest, 2 do
    freed = freed + tonumber(string.match(oldest[i], '^%d+'))
    if used - freed + tokens_asked <= limit then return tonumber(oldest[i + 1]) + MINUTE - clock end
  end
  return MINUTE
end

local function money_wait(spent, held, budget)
  if not asks then return 0 end
  if spent >= budget or spent + nano_asked > budget then return -1 end
  return spent + held + nano_asked > budget and 1000000 or 0
end

local stamp = clock
local logs, rewritten = {}, {}
local at = 6
for subject = 1, #KEYS, 4 do
  local log, tokens, leases, money = KEYS[subject], KEYS[subject + 1], KEYS[subject + 2], KEYS[subject + 3]
  local reserves = ARGV[at] == '1'
  local per_minute, concurrency = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local per_day, per_month = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local windows = tonumber(ARGV[at + 5])
  at = at + 6

  if windows > 0 then
    local size, now, shifted = open_log(log, clock)
    local longest, largest = 0, 0
    for _ = 1, windows do
      local limit, window = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
      local remaining, wait, reset = look(log, size, now, cost, limit, window)
      tell(remaining, wait, reset == 0 and window or reset, cost)
      longest, largest = math.max(longest, window), math.max(largest, limit)
      at = at + 2
    end
    stamp = math.max(stamp, now)
    logs[log] = { largest, longest }
    if shifted then rewritten[log] = longest end
  end
  if reserves then
    sweep(leases, tokens, clock, length)
    local used = trim(tokens, clock)
    if per_minute >= 0 then
      local oldest = redis.call('ZRANGEBYSCORE', tokens, 1, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
      local reset = oldest[2] and tonumber(oldest[2]) + MINUTE - clock or MINUTE
      tell(per_minute - used, tokens_wait(tokens, used, per_minute), reset, asks and tokens_asked or 0)
    end
    if concurrency >= 0 then
      local running = redis.call('ZCOUNT', leases, 1, '+inf')
      local full = asks and running >= concurrency
      tell(concurrency - running, full and 1000000 or 0, (running > 0 or asks) and 1000000 or 0, asks and 1 or 0)
    end
    if per_day >= 0 or per_month >= 0 then
      local day, month, day_left, month_left = periods()
      local held = -tonumber(redis.call('ZSCORE', leases, 'held') or 0)
      local spent = redis.call('HMGET', money, day, month)
      local today, this_month = tonumber(spent[1] or 0), tonumber(spent[2] or 0)
      if per_day >= 0 then
        tell(per_day - today - held, money_wait(today, held, per_day), day_left, asks and nano_asked or 0)
      end
      if per_month >= 0 then
        tell(per_month - this_month - held, money_wait(this_month, held, per_month), month_left, asks and nano_asked or 0)
      end
    end
  end
end

at = 6
for subject = 1, #KEYS, 4 do
  local log = KEYS[subject]
  local reserves, windows = ARGV[at] == '1', tonumber(ARGV[at + 5])
  at = at + 6 + 2 * windows
  if admitted == 1 and windows > 0 then
    push(log, text(stamp), cost, logs[log][1])
    redis.call('PEXPIRE', log, math.ceil(logs[log][2] / 1000))
  elseif rewritten[log] then
    redis.call('PEXPIRE', log, math.ceil(rewritten[log] / 1000))
  end
  if admitted == 1 and reserves and asks then
    lease(KEYS[subject + 2], text(tokens_asked) .. ':' .. text(nano_asked) .. ':' .. id, nano_asked, clock + length)
    if tokens_asked > 0 then note(KEYS[subject + 1], clock, tokens_asked, id) end
  end
end
if admitted == 1 then
  for place, taken in pairs(taken_at) do reply[place] = reply[place] - taken end
end
reply[1] = admitted
reply[2] = text(stamp)
return reply
