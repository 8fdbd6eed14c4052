-- What replicas have to say of requests that are under way or over. Begins with reservations.lua.
--
-- KEYS[1]  the number of this replica's last batch, KEYS[2…] what the operations name by its place
-- ARGV[1]  the number of this batch, 0 for one that may be done twice; ARGV[2] seconds to remember it
-- ARGV[3]  a letter for each key from KEYS[2] on: h(ash) or z(sorted set). One of another type is nobody's: removed
-- ARGV[4…] operations, each of five words:
--   + hash field amount ttl           count it (ttl in milliseconds)
--   - leases member used:tokens age   settle: tokens used, where they are noted, admitted so many microseconds ago
--   ~ leases member length ''         the request is still under way: its lease is that long from now on
if ARGV[1] ~= '0' then
  if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 0 end
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
local types = { h = 'hash', z = 'zset' }
for i = 1, #ARGV[3] do
  local kind = redis.call('TYPE', KEYS[i + 1]).ok
  if kind ~= 'none' and kind ~= types[string.sub(ARGV[3], i, i)] then redis.call('DEL', KEYS[i + 1]) end
end
local clock = clock_now()
for i = 4, #ARGV, 5 do
  local what, place = ARGV[i], tonumber(ARGV[i + 1])
  local key = KEYS[place]
  if what == '+' then
    -- A field that is full stays so, and must not keep the others from being counted.
    redis.pcall('HINCRBY', key, ARGV[i + 2], ARGV[i + 3])
    redis.call('PEXPIRE', key, ARGV[i + 4])
  elseif what == '-' then
    local used, tokens = string.match(ARGV[i + 3], '^(%d+):(%d+)$')
    settle(key, KEYS[tonumber(tokens)], ARGV[i + 2], tonumber(used), clock - tonumber(ARGV[i + 4]), clock)
  else
    local nano = tonumber(string.match(ARGV[i + 2], '^%d+:(%d+):'))
    lease(key, ARGV[i + 2], nano, clock + tonumber(ARGV[i + 3]))
  end
end
return 1
