-- What a replica admitted while this store was away, put where it belongs in the log of admissions.
--
-- KEYS[1]  the list of rate_limit.lua: admission times in microseconds, newest first
-- ARGV[1]  longest window in microseconds
-- ARGV[2]  largest limit: the list's length
-- ARGV[3…] ages of the admissions in microseconds, newest (youngest) first
--
-- Only the part of the list that is younger than the oldest of them is rewritten. A key of another type is nobody's
-- log: it is replaced.
local log = KEYS[1]
local window, largest = tonumber(ARGV[1]), tonumber(ARGV[2])
local kind = redis.call('TYPE', log).ok
if kind ~= 'list' and kind ~= 'none' then redis.call('DEL', log) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local missing = {}
for i = 3, #ARGV do
  local age = tonumber(ARGV[i])
  if age < window then missing[#missing + 1] = now - age end
end
if #missing == 0 then return 0 end

local oldest = missing[#missing]
local low, high = 0, redis.call('LLEN', log)
while low < high do
  local middle = math.floor((low + high) / 2)
  if tonumber(redis.call('LINDEX', log, middle)) > oldest then low = middle + 1 else high = middle end
end
local younger = {}
if low > 0 then
  younger = redis.call('LRANGE', log, 0, low - 1)
  redis.call('LTRIM', log, low, -1)
end

-- Merged from the oldest on, as each is pushed before what is there.
local i, j = #younger, #missing
while i > 0 or j > 0 do
  if j == 0 or (i > 0 and tonumber(younger[i]) <= missing[j]) then
    redis.call('LPUSH', log, younger[i])
    i = i - 1
  else
    redis.call('LPUSH', log, string.format('%.0f', missing[j]))
    j = j - 1
  end
end
redis.call('LTRIM', log, 0, largest - 1)
local left = redis.call('PTTL', log)
redis.call('PEXPIRE', log, math.max(left, math.ceil(window / 1000)))
return #missing
