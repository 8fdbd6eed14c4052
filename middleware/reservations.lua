-- What is reserved for requests under way, for the scripts that begin with this file. Two sorted sets for a subject:
--
-- leases  `<tokens>:<nano-USD>:<id>` by the time the lease ends, and `held`, whose score is minus all held nano-USD
-- tokens  `<amount>:<id>` by the time of admission, and `sum`, whose score is minus the sum of all amounts
--
-- Times are microseconds, so they are above any of these sums' scores: 1 divides them. A sum dies with its set, and
-- none is ever added up: what is O(n) is done once for each entry, when it leaves.
local MINUTE = 60000000
local TOKENS_TTL_MS, LEASES_TTL_MS = 61000, 120000

local function text(number) return string.format('%.0f', number) end

local function clock_now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2], tonumber(time[1])
end

-- Entries may not lie in the future, as they do when the clock was set back: nobody is locked out by them for longer.
local function pull_back(set, latest)
  local ahead = redis.call('ZRANGEBYSCORE', set, text(latest + 1000000), '+inf')
  for i = 1, #ahead do redis.call('ZADD', set, text(latest), ahead[i]) end
end

-- Forget what was used more than a minute ago; return the sum of the rest.
local function trim(tokens, clock)
  pull_back(tokens, clock)
  local since = text(clock - MINUTE)
  local freed = 0
  while true do
    local old = redis.call('ZRANGEBYSCORE', tokens, 1, since, 'LIMIT', 0, 1000)
    if #old == 0 then break end
    for i = 1, #old do freed = freed + tonumber(string.match(old[i], '^%d+')) end
    redis.call('ZREM', tokens, unpack(old))
  end
  if freed > 0 then redis.call('ZINCRBY', tokens, text(freed), 'sum') end
  return -tonumber(redis.call('ZSCORE', tokens, 'sum') or 0)
end

local function note(tokens, at, amount, id)
  redis.call('ZADD', tokens, text(at), text(amount) .. ':' .. id)
  redis.call('ZINCRBY', tokens, text(-amount), 'sum')
  redis.call('PEXPIRE', tokens, TOKENS_TTL_MS)
end

local function lease(leases, member, nano, ends)
  if redis.call('ZADD', leases, text(ends), member) == 1 and nano > 0 then
    redis.call('ZINCRBY', leases, text(-nano), 'held')
  end
  redis.call('PEXPIRE', leases, LEASES_TTL_MS)
end

-- End a reservation: give back what it holds, and note what was used at the time it was admitted.
local function settle(leases, tokens, member, used, admitted_at, clock)
  local reserved, nano, id = string.match(member, '^(%d+):(%d+):(.+)$')
  if redis.call('ZREM', leases, member) == 1 and tonumber(nano) > 0 then
    redis.call('ZINCRBY', leases, nano, 'held')
  end
  local at = redis.call('ZSCORE', tokens, reserved .. ':' .. id)
  if at then
    redis.call('ZREM', tokens, reserved .. ':' .. id)
    redis.call('ZINCRBY', tokens, reserved, 'sum')
    admitted_at = tonumber(at)
  end
  if used > 0 and admitted_at > clock - MINUTE then note(tokens, math.min(admitted_at, clock), used, id) end
end

-- Release what replicas hold that are heard of no more.
local function sweep(leases, tokens, clock, longest)
  pull_back(leases, clock + longest)
  local ended = redis.call('ZRANGEBYSCORE', leases, 1, text(clock))
  for i = 1, #ended do settle(leases, tokens, ended[i], 0, 0, clock) end
end
