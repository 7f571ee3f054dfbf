-- A node ends, and will not be waited for.
--
-- KEYS as tick.lua
-- ARGV 1 node  2 its incarnation
--
-- {"OK", now}

local REC, CHG, LOG, LIVE, EV = unpack(KEYS)
local node, incarnation = ARGV[1], ARGV[2]

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local inc = string.match(redis.call('HGET', LIVE, node) or '', '^%S+')
if inc ~= incarnation then return { 'OK', now } end

local lead = { string.match(redis.call('HGET', LIVE, '@lead') or '',
    '^(%S+ %S+ %d+) %d+ (%d+ %-?%d+ %S+) %d+$') }

if redis.call('HDEL', REC, '@m:' .. node) == 1 then
    local top = redis.call('ZREVRANGE', CHG, 0, 0, 'WITHSCORES')
    local ver = redis.call('HINCRBY', REC, '@ver', 1)

    -- where something has been lost, that is to be found
    if redis.call('HEXISTS', REC, '@n') == 1 then
        redis.call('HINCRBY', REC, '@n', -1)
    end
    if tonumber(top[2]) == ver - 1 then
        redis.call('ZADD', CHG, ver, '@members')
    end
end

pcall(redis.set_repl, redis.REPL_NONE)

redis.call('HDEL', LIVE, node)
redis.call('HDEL', EV, node)

if lead[1] and string.match(lead[1], '^%S+') == node then
    redis.call('HSET', LIVE, '@lead', lead[1] .. ' 0 ' .. lead[2] .. ' 0')
end

return { 'OK', now }
