-- A key's record and its tenant's, in one look.
-- KEYS: the record, the tenants
local record = redis.call('GET', KEYS[1])
if not record then
  return false
end
local read, key = pcall(cjson.decode, record)
return {record, read and redis.call('HGET', KEYS[2], key.tenant) or ''}
