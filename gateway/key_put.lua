-- Write a key's record, if nobody has changed it meanwhile and its tenant is there.
-- KEYS: the record, the index, how many keys each tenant has, the tenants, the epoch
-- ARGV[1] the record as it was read (empty: a new one), [2] as it is to be, [3] the key's id, [4] its tenant,
-- [5] '1' if the tenant must be among the stored ones
-- Returns the new epoch, 0 if it was changed, -1 if there is no such tenant.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
if ARGV[1] == '' and ARGV[5] == '1' and redis.call('HEXISTS', KEYS[4], ARGV[4]) == 0 then
  return -1
end
local epoch = redis.call('INCR', KEYS[5])
redis.call('SET', KEYS[1], ARGV[2])
if ARGV[1] == '' then
  redis.call('ZADD', KEYS[2], epoch, ARGV[3])
  redis.call('HINCRBY', KEYS[3], ARGV[4], 1)
end
return epoch
