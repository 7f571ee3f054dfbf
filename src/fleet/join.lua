-- After each connect, and whenever data were lost: all that there is.
--
-- KEYS as tick.lua
-- ARGV 1 node  2 its incarnation  3 the one before it, or "0"
--      4 seed, if there are no data  5 version that it knows
--      6 number of its last event  7 how many seeds it knows, and these; then
--      name and join number of each member that it knows.  A node that never
--      was in this fleet knows none of all this.
--
-- {"DUP", now, address of the other one}
-- {"OK", 2 now, 3 1: the data are new, 4 1: they are not of the fleet that the
--  node was in, 5 seeds that they have had, the present one last, 6 version,
--  7 their age (ms), 8 members: name and join number of each,
--  9 {endpoint, record ...}, 10 {id, node, endpoint, event ...} after the
--  version that it knows}

local YOUNG = 3000          -- ms: nothing can have been exposed in such data
local GONE = 10000
local SEEDS = 16            -- are remembered

local REC, CHG, LOG, LIVE = unpack(KEYS)
local node, incarnation, before = ARGV[1], ARGV[2], ARGV[3]
local known, last = tonumber(ARGV[5]), tonumber(ARGV[6])

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local inc, seen, says = string.match(redis.call('HGET', LIVE, node) or '',
                                     '^(%S+) (%d+) %d+ %d+ (%S+)')

if inc and inc ~= '0' and inc ~= incarnation and inc ~= before
   and now >= tonumber(seen) and now - seen < GONE
then
    return { 'DUP', now, says }
end

local theirs = {}           -- seeds that the node knows
local next = 8 + tonumber(ARGV[7])

for i = 8, next - 1 do theirs[#theirs + 1] = ARGV[i] end

-- Are they of one fleet?  Data that a node without a past has made just now
-- may have come between a loss and those who know better.

local m = redis.call('HMGET', REC, '@seed', '@ver', '@born', '@seeds')
local fresh = not m[1]
local ver, born = tonumber(m[2] or 0), tonumber(m[3] or now)
local ours, has = {}, {}

for seed in string.gmatch(m[4] or m[1] or '', '%S+') do
    ours[#ours + 1] = seed
    has[seed] = true
end

local shared = #theirs > 0 and (fresh or now - born < YOUNG)
for _, seed in ipairs(theirs) do shared = shared or has[seed] end

-- Versions never fall, whatever was lost: not below what the node knows, nor
-- below what is left of the other keys.

local top = redis.call('ZREVRANGE', CHG, 0, 0, 'WITHSCORES')
local event = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', 1)
local least = math.max(ver, tonumber(top[2] or 0),
                       event[1] and tonumber(string.match(event[1][1],
                                                          '^%d+')) or 0)
local lost = fresh or not m[2] or not m[3]

if shared then
    if ver < known then lost = true end
    least = math.max(least, known, last)
end

local broken = not fresh and tonumber(top[2]) ~= ver

if fresh then
    ours[#ours + 1] = ARGV[4]
    has[ARGV[4]] = true
    redis.call('HSET', REC, '@seed', ARGV[4])
end

if lost then
    born = now
    redis.call('HSET', REC, '@born', born)
end

if shared or fresh then
    -- the present one stays the last
    local all = {}
    for _, seed in ipairs(theirs) do
        if not has[seed] then all[#all + 1] = seed end
    end
    if #all > 0 or fresh or not m[4] then
        for _, seed in ipairs(ours) do all[#all + 1] = seed end
        ours = all
        while #ours > SEEDS do table.remove(ours, 1) end
        redis.call('HSET', REC, '@seeds', table.concat(ours, ' '))
    end
end

-- Members that the node knows are members.

local added = false
local joined = tonumber(redis.call('HGET', REC, '@joined') or 0)

if shared then
    for i = next, #ARGV - 1, 2 do
        if redis.call('HSETNX', REC, '@m:' .. ARGV[i], ARGV[i + 1]) == 1 then
            added = true
        end
        joined = math.max(joined, tonumber(ARGV[i + 1]))
    end
end

-- The last change is always that of the version.  If what had changed is not
-- known, then all has.

local names, records, fields = {}, {}, redis.call('HKEYS', REC)
table.sort(fields)

if least ~= ver or fresh then
    ver = least
    redis.call('ZADD', CHG, ver, '@floor')
end

if added or broken then
    ver = ver + 1
    redis.call('ZADD', CHG, ver, '@members')
end

for _, field in ipairs(fields) do
    local name = string.match(field, '^@m:(.+)$')
    if name then
        names[#names + 1] = name .. ' ' ..
            string.match(redis.call('HGET', REC, field), '^%d+')
    elseif string.sub(field, 1, 1) ~= '@' then
        records[#records + 1] = field
        records[#records + 1] = redis.call('HGET', REC, field)
        if broken then
            ver = ver + 1
            redis.call('ZADD', CHG, ver, field)
        end
    end
end

redis.call('HSET', REC, '@ver', ver, '@n', #names, '@joined', joined)

local events = {}

if shared and known < ver then
    for _, e in ipairs(redis.call('XRANGE', LOG, known + 1 .. '-0', '+')) do
        events[#events + 1] = tonumber(string.match(e[1], '^%d+'))
        for i = 2, #e[2], 2 do events[#events + 1] = e[2][i] end
    end
end

-- Who is counted as live has told what it knows.  None has, and there is no
-- leader, in data that were lost.

if lost then
    pcall(redis.set_repl, redis.REPL_NONE)
    for _, field in ipairs(redis.call('HKEYS', LIVE)) do
        redis.call('HDEL', LIVE, field)
    end
end

return { 'OK', now, fresh and 1 or 0, shared and 0 or 1,
         table.concat(ours, ' '), ver, math.max(0, now - born),
         table.concat(names, ' '), records, events }
