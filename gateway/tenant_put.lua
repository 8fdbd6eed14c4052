-- Write a tenant, if nobody has changed it meanwhile.
-- KEYS: the tenants, the epoch; ARGV[1] the id, [2] the tenant as it was read (empty: a new one), [3] as it is to be
-- Returns the new epoch, 0 if it was changed.
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return redis.call('INCR', KEYS[2])
