-- Add what a replica has counted to the fleet's counts, once however often it is sent, and tell them if asked to.
--
-- KEYS[1]  the number of this replica's last batch; then a hash for each tally, then the lists
-- ARGV[1]  the number of this batch
-- ARGV[2]  seconds to remember it
-- ARGV[3]  how many of the keys are hashes
-- ARGV[4]  how many entries a list keeps
-- ARGV[5]  1: tell all; 0: nothing
-- then, for each hash and each list, how many arguments are its own, and these: field, amount, ...; entry, ...
--
-- The field '' of a hash is its mark: the batch that made it.
--
-- Returns, if asked to, all of each hash and of each list.
local hashes, kept, tell = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'

-- A key of another type is nobody's count; it must not keep us from ours.
for i = 1, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  local ours = i == 1 and 'string' or i <= hashes + 1 and 'hash' or 'list'
  if kind ~= ours and kind ~= 'none' then redis.call('DEL', KEYS[i]) end
end

local new = tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1])
if new then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end

local found, at = {}, 6
for i = 2, #KEYS do
  local first, last = at + 1, at + tonumber(ARGV[at])
  at = last + 1
  if i <= hashes + 1 then
    -- Who finds another mark than last time knows that the counts began again.
    if new and first <= last then redis.call('HSETNX', KEYS[i], '', KEYS[1] .. '/' .. ARGV[1]) end
    for j = first, new and last or 0, 2 do
      -- A field that is full stays so, and must not keep the others from being counted.
      redis.pcall('HINCRBY', KEYS[i], ARGV[j], ARGV[j + 1])
    end
  elseif new and first <= last then
    redis.call('RPUSH', KEYS[i], unpack(ARGV, first, last))
    redis.call('LTRIM', KEYS[i], -kept, -1)
  end
  if tell then
    found[i - 1] = i <= hashes + 1 and redis.call('HGETALL', KEYS[i]) or redis.call('LRANGE', KEYS[i], 0, -1)
  end
end
return found
