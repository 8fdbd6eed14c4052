-- Forget a key, whoever has changed it.
-- KEYS: the record, the index, how many keys each tenant has, the epoch; ARGV[1] the key's id
-- Returns the new epoch, 0 if there is no such key.
local record = redis.call('GET', KEYS[1])
if not record then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local read, key = pcall(cjson.decode, record)
if read and redis.call('HINCRBY', KEYS[3], key.tenant, -1) < 1 then
  redis.call('HDEL', KEYS[3], key.tenant)
end
return redis.call('INCR', KEYS[4])
