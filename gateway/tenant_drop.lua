-- Forget a tenant that has no keys.
-- KEYS: the tenants, how many keys each tenant has, the epoch; ARGV[1] the id
-- Returns the new epoch, 0 if there is no such tenant, -1 if it has keys.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 0
end
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0) > 0 then
  return -1
end
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('INCR', KEYS[3])
