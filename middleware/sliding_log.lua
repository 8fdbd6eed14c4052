-- The exact sliding-window log, for the scripts that begin with this file: a list of admission times in microseconds,
-- newest first, trimmed to the largest limit.
--
-- A window (L, W) admits cost n when the entry at index L-n is absent or at least W old: then at most L-n entries are
-- younger than W. Exact in both directions, O(log L) per window (binary search, only to tell what remains).

-- The log's length, the time to decide at, and whether the log had to be rewritten.
local function open_log(log, now)
  local size = redis.call('LLEN', log)
  if size == 0 then return 0, now, false end
  local newest = tonumber(redis.call('LINDEX', log, 0))
  if newest > now + 1000000 then
    -- The clock was set back. Entries keep their distances but may not lie in the future, or the key would stay locked
    -- for longer than its window.
    local entries = redis.call('LRANGE', log, 0, -1)
    local shift = newest - now
    redis.call('DEL', log)
    for i = 1, #entries do
      redis.call('RPUSH', log, string.format('%.0f', entries[i] - shift))
    end
    return size, now, true
  end
  return size, math.max(now, newest), false
end

-- What remains of one window before this request, until when it must wait (0: it fits), when the oldest entry leaves.
local function look(log, size, now, cost, limit, window)
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
    -- The entry whose leaving makes room; a cost above the limit never fits, a whole window is then as good as any.
    if cost > limit then wait = window
    else wait = tonumber(redis.call('LINDEX', log, limit - cost)) + window - now end
  end
  return limit - used, wait, reset
end

local function push(log, stamp, cost, largest)
  for _ = 1, cost do redis.call('LPUSH', log, stamp) end
  redis.call('LTRIM', log, 0, largest - 1)
end
