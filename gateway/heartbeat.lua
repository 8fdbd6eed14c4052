-- One beat of a replica, and how many replicas beat.
--
-- KEYS[1]  hash: replica -> its last beat in microseconds; 'since' -> the first beat this store remembers
-- ARGV[1]  the replica
-- ARGV[2]  microseconds after which a replica that does not beat is gone
-- ARGV[3]  1: alive; 0: leaving
--
-- Returns { replicas alive, microseconds since 'since' }.
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local life = tonumber(ARGV[2])

-- A key of another type is nobody's heartbeat; it must not keep us from ours.
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end

if ARGV[3] == '0' then
  redis.call('HDEL', key, ARGV[1])
else
  redis.call('HSET', key, ARGV[1], string.format('%.0f', now))
end
redis.call('HSETNX', key, 'since', string.format('%.0f', now))

local alive, since = 0, now
local beats = redis.call('HGETALL', key)
for i = 1, #beats, 2 do
  local beat = tonumber(beats[i + 1])
  if beats[i] == 'since' then
    since = math.min(beat, now)
  elseif math.abs(now - beat) > life then
    redis.call('HDEL', key, beats[i])
  else
    alive = alive + 1
  end
end
redis.call('PEXPIRE', key, math.ceil(2 * life / 1000))
return { alive, now - since }
