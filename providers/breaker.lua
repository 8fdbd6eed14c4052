-- What a replica has seen of its targets, and what the fleet makes of it: one step for everything there is to tell.
--
-- KEYS[1]  states, a hash: id -> '<word> <generation> <until> <count>', and 'version' -> the newest generation.
--          word: open, half_open, closed, or why it is put aside; until: milliseconds since 1970, the end of the pause
--          or of the probe's lease; count: trips (pauses) in a row. A generation is the time of the change in
--          microseconds, made larger where it would not grow.
-- KEYS[2]  calls, a hash: id -> '<failures in a row> <slot>:<calls>:<failures>:<slow> …', the slots of the window
-- ARGV     version that this replica has read, jitter; open, longest pause, window, lease (ms); calls from which on is
--          judged, failure rate, slow-call rate, most entries of each hash, life of the states (ms); then events:
--            calls id calls failures slow in-a-row none-good(0|1)
--            trip id remaining-ms trips generation    generation: of the failed probe; 0: no probe
--            close id generation                      a good probe
--            leave id generation                      a probe without a result
--            aside id word remaining-ms times
--            lift id                                  answered after its pause
--            claim id id|''                           may this replica probe? Both or none.
--
-- Returns { version, changed 0|1, claim granted 0|1, then, if there is anything new: id, word, generation, remaining
-- milliseconds, count of each state }. Numbers beyond 2^31 as text.
local states, calls = KEYS[1], KEYS[2]
local known, jitter = ARGV[1], tonumber(ARGV[2])
local open_ms, longest_ms, window_ms, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local min_calls, failure_rate, slow_rate = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local most, life_ms = tonumber(ARGV[10]), tonumber(ARGV[11])
local FIRST_EVENT, SLOTS = 12, 30

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

for _, key in ipairs(KEYS) do
  -- A key of another type is none of ours; it must not keep us from our work.
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end
end

local function text(number) return string.format('%.0f', number) end

local before = tonumber(redis.call('HGET', states, 'version') or 0)
local version = before

local function touch()
  version = math.max(time[1] * 1000000 + time[2], version + 1)
  redis.call('HSET', states, 'version', text(version))
end

local function parsed(record)
  local word, generation, till, count = string.match(record or '', '^([%l_]+) (%d+) (%d+) (%d+)$')
  return word and { word = word, generation = tonumber(generation), till = tonumber(till), count = tonumber(count) }
end

local function read(id) return parsed(redis.call('HGET', states, id)) end

-- Whether the states may take one more: those that ended a life ago make room.
local function has_room(id)
  if redis.call('HEXISTS', states, id) == 1 or redis.call('HLEN', states) <= most then return true end
  local all = redis.call('HGETALL', states)
  for i = 1, #all, 2 do
    local record = parsed(all[i + 1])
    if record and (record.word == 'closed' or record.till + life_ms < now) then redis.call('HDEL', states, all[i]) end
  end
  return redis.call('HLEN', states) <= most
end

local function write(id, word, till, count)
  if not has_room(id) then return end
  touch()
  redis.call('HSET', states, id, string.format('%s %.0f %.0f %.0f', word, version, till, count))
end

local function open(id, pause_ms, trips)
  write(id, 'open', now + pause_ms, trips)
  redis.call('HDEL', calls, id)
end

local width = math.max(1, math.ceil(window_ms / SLOTS))
local slot = math.floor(now / width)

-- The calls of a window, without the slots that have left it.
local function window_of(id)
  local window = { run = 0, slots = {}, calls = 0, failures = 0, slow = 0 }
  local record = redis.call('HGET', calls, id)
  if record then
    window.run = tonumber(string.match(record, '^%d+'))
    for s, c, f, w in string.gmatch(record, '(%d+):(%d+):(%d+):(%d+)') do
      if tonumber(s) > slot - SLOTS and tonumber(s) <= slot then
        window.slots[#window.slots + 1] = { tonumber(s), tonumber(c), tonumber(f), tonumber(w) }
        window.calls, window.failures, window.slow = window.calls + c, window.failures + f, window.slow + w
      end
    end
  end
  return window, record ~= false
end

local swept = false
local function calls_have_room()
  if redis.call('HLEN', calls) < most then return true end
  if not swept then
    swept = true
    for _, id in ipairs(redis.call('HKEYS', calls)) do
      if window_of(id).calls == 0 then redis.call('HDEL', calls, id) end
    end
  end
  return redis.call('HLEN', calls) < most
end

local function count(id, n, failures, slow, run, none_good)
  local record = read(id)
  if record and record.word ~= 'closed' then return end
  local window, there = window_of(id)
  if not there and not calls_have_room() then return end
  window.run = none_good == 1 and window.run + run or run
  local newest = window.slots[#window.slots]
  if not newest or newest[1] ~= slot then
    newest = { slot, 0, 0, 0 }
    window.slots[#window.slots + 1] = newest
  end
  newest[2], newest[3], newest[4] = newest[2] + n, newest[3] + failures, newest[4] + slow
  n, failures, slow = window.calls + n, window.failures + failures, window.slow + slow
  local too_bad = failures > 0 and (failures >= failure_rate * n or window.run >= min_calls)
  local too_slow = slow > 0 and slow >= slow_rate * n
  if n >= min_calls and (too_bad or too_slow) then
    open(id, math.floor(math.min(open_ms, longest_ms) * jitter), 1)
    return
  end
  local parts = { text(window.run) }
  for i, s in ipairs(window.slots) do parts[i + 1] = string.format('%.0f:%.0f:%.0f:%.0f', s[1], s[2], s[3], s[4]) end
  redis.call('HSET', calls, id, table.concat(parts, ' '))
  redis.call('PEXPIRE', calls, 2 * window_ms)
end

local function trip(id, remaining_ms, trips, generation)
  local record = read(id)
  if record and generation ~= 0 and record.generation ~= generation then return end -- a late probe
  if record and generation == 0 and record.till > now then
    if record.word == 'open' then return end -- one pause for all: the one that began first
    if record.word == 'half_open' and remaining_ms == 0 then return end -- nothing that the probe would not tell
  end
  open(id, remaining_ms, trips)
end

local function claim(ids)
  for _, id in ipairs(ids) do
    local record = read(id)
    if record and (record.word == 'closed' or record.till > now) then return 0 end
  end
  for _, id in ipairs(ids) do
    local record = read(id)
    write(id, 'half_open', now + lease_ms, record and record.count or 1)
  end
  return 1
end

local granted, claimed = 0, false
local i = FIRST_EVENT
local function next_word()
  i = i + 1
  return ARGV[i - 1]
end
local function next_number() return tonumber(next_word()) end

while i <= #ARGV do
  local event, id = next_word(), next_word()
  if event == 'calls' then
    count(id, next_number(), next_number(), next_number(), next_number(), next_number())
  elseif event == 'trip' then
    trip(id, next_number(), next_number(), next_number())
  elseif event == 'close' or event == 'leave' then
    local generation, record = next_number(), read(id)
    if record and record.generation == generation then
      if event == 'close' then write(id, 'closed', now, 0)
      elseif record.word == 'half_open' then write(id, 'open', now, record.count) end
    end
  elseif event == 'aside' then
    local word, till, times, record = next_word(), now + next_number(), next_number(), read(id)
    if not record or record.till < till then write(id, word, till, times) end
  elseif event == 'lift' then
    local record = read(id)
    if record and record.till <= now then
      redis.call('HDEL', states, id)
      touch()
    end
  elseif event == 'claim' then
    claimed = true
    local other = next_word()
    granted = claim(other == '' and { id } or { id, other })
  end
end

local changed = version ~= before
if changed then redis.call('PEXPIRE', states, life_ms) end
local reply = { text(version), changed and 1 or 0, granted }
if text(version) ~= known or (claimed and granted == 0) then
  local all = redis.call('HGETALL', states)
  for j = 1, #all, 2 do
    local record = parsed(all[j + 1])
    if record then
      reply[#reply + 1] = all[j]
      reply[#reply + 1] = record.word
      reply[#reply + 1] = text(record.generation)
      reply[#reply + 1] = math.max(0, record.till - now)
      reply[#reply + 1] = record.count
    end
  end
end
return reply
