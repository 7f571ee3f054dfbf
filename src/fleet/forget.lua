-- A machine that will not return is no member any more.
--
-- KEYS as tick.lua
-- ARGV 1 the node  2 who says so: a node  3 event
--
-- {"OK", now, how many members are left}  {"ALIVE", now, silent for (ms)}
-- {"UNKNOWN", now}  {"EMPTY", now}

local GONE = 10000

local REC, CHG, LOG, LIVE, EV = unpack(KEYS)
local node, by, event = ARGV[1], ARGV[2], ARGV[3]

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if redis.call('HEXISTS', REC, '@seed') == 0
   or redis.call('HEXISTS', REC, '@n') == 0
then
    return { 'EMPTY', now }
end
if redis.call('HEXISTS', REC, '@m:' .. node) == 0 then
    return { 'UNKNOWN', now }
end

local last = string.match(redis.call('HGET', LIVE, node) or '',
                          '^%S+ (%d+)')
if last and now - last < GONE then
    return { 'ALIVE', now, math.max(0, now - last) }
end

redis.call('HDEL', REC, '@m:' .. node)
local left = redis.call('HINCRBY', REC, '@n', -1)

local top = redis.call('ZREVRANGE', CHG, 0, 0, 'WITHSCORES')
local ver = redis.call('HINCRBY', REC, '@ver', 1)

-- where changes have been lost, that is to be found
if tonumber(top[2]) == ver - 1 then
    redis.call('ZADD', CHG, ver, '@members')
end

redis.pcall('XADD', LOG, 'MAXLEN', '~', 4096, ver .. '-0', 'node', by,
            'endpoint', '', 'event', event)

pcall(redis.set_repl, redis.REPL_NONE)

redis.call('HDEL', LIVE, node)
redis.call('HDEL', EV, node)

return { 'OK', now, left }
