-- A change of an endpoint's record, or an event alone: all of it or nothing.
--
-- KEYS as tick.lua
-- ARGV 1 node  2 its incarnation  3 endpoint (canary_fleet_escape())
--      4 "generation uid" that the record is based on, "": there is none
--      5 the record, "": there is only an event  6 any, expose or step
--      7 event  8 not after this time of Redis (ms), "0": at any  9 timeout
--
-- {"OK", now, version}  {"CONFLICT", now, the record that there is, or ""}
-- {"WAIT", now, reason}  {"EMPTY", now}  {"LOST", now}

local HOLD, GONE = 3000, 10000

local REC, CHG, LOG, LIVE = unpack(KEYS)
local node, incarnation, endpoint, base = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local record, mode, event, timeout = ARGV[5], ARGV[6], ARGV[7],
    tonumber(ARGV[9])

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local m = redis.call('HMGET', REC, '@seed', '@ver', '@born', '@n')
if not m[1] then return { 'EMPTY', now } end
if not (m[2] and m[3] and m[4]) then return { 'LOST', now } end

local top = redis.call('ZREVRANGE', CHG, 0, 0, 'WITHSCORES')
if tonumber(top[2]) ~= tonumber(m[2]) then return { 'LOST', now } end

local function wait(...)
    return { 'WAIT', now, table.concat({ ... }) }
end

-- "node web7 is silent", "nodes web7, web8 are silent"

local function name_all(names, one, many)
    table.sort(names)
    return wait(#names > 1 and 'nodes ' or 'node ', table.concat(names, ', '),
                #names > 1 and many or one)
end

-- 1. A change that waited in the socket of a server that hung was refused
-- meanwhile.

if ARGV[8] ~= '0' and now > tonumber(ARGV[8]) then return wait('too late') end

-- 2. Another came first.

if record ~= '' then
    local is = redis.call('HGET', REC, endpoint) or ''
    if (string.match(is, '^%d+ %x+') or '') ~= base then
        return { 'CONFLICT', now, is }
    end
end

-- 3. What exposes needs someone there who knows whatever was acknowledged.

local nodes = {}            -- not gone; silent or not

if mode ~= 'any' then
    if now - tonumber(m[3]) < HOLD then return wait('nodes gather') end

    local all, live = redis.call('HGETALL', LIVE), 0
    for i = 1, #all, 2 do
        local last, ver, says = string.match(all[i + 1],
            '^%S+ (%d+) (%d+) %d+ (.*)$')
        if all[i] ~= '@lead' and last and now - last < GONE then
            local age = now - last
            local p = { name = all[i], ver = tonumber(ver), says = says,
                        live = age >= 0 and age <= timeout }
            nodes[#nodes + 1] = p
            if p.live and redis.call('HEXISTS', REC, '@m:' .. p.name) == 1 then
                live = live + 1
            end
        end
    end

    if live * 2 <= tonumber(m[4]) then
        return wait(live, ' of ', m[4],
                    ' nodes: forget those that will not return')
    end
end

local function lack(kind, what)
    local name = string.gsub(kind == 'endpoint' and endpoint or what,
                             '%%(%x%x)', function (hex)
                                 return string.char(tonumber(hex, 16))
                             end)
    if kind == 'server' then return ': no live server in ' .. name end
    if kind == 'version' then return ' is of an older version' end
    return ' has no ' .. kind .. ' ' .. name
end

-- 4. A step is the leader's, when all are where it is.

if mode == 'step' then
    local who, inc, _, till, since = string.match(
        redis.call('HGET', LIVE, '@lead') or '',
        '^(%S+) (%S+) (%d+) (%d+) (%d+) ')
    if who ~= node or inc ~= incarnation or tonumber(till) <= now then
        return wait('a new leader')
    end
    if now - since < HOLD then return wait('a new leader') end

    local at = tonumber(redis.call('ZSCORE', CHG, endpoint) or 0)
    local silent, behind, lacking = {}, {}, {}
    for _, p in ipairs(nodes) do
        if not p.live then
            silent[#silent + 1] = p.name
        elseif p.ver < at then
            behind[#behind + 1] = p.name
        else
            for line in string.gmatch(p.says, '\n([^\n]+)') do
                local word, kind, what = string.match(line,
                                                      '^(%S+) (%S+) ?(%S*)$')
                if word == endpoint or word == '-' then
                    lacking[#lacking + 1] = 'node ' .. p.name
                                            .. lack(kind, what)
                    break
                end
            end
        end
    end

    if #silent > 0 then
        return name_all(silent, ' is silent', ' are silent')
    end
    if #behind > 0 then
        return name_all(behind, ' is at an older step',
                        ' are at an older step')
    end
    if #lacking > 0 then
        table.sort(lacking)
        return wait(table.concat(lacking, ', '))
    end
end

-- 5. It is done.

local ver = redis.call('HINCRBY', REC, '@ver', 1)

if record ~= '' then
    redis.call('HSET', REC, endpoint, record)
    redis.call('ZADD', CHG, ver, endpoint)
else
    redis.call('ZADD', CHG, ver, '@events')
end

if event ~= '' then
    redis.pcall('XADD', LOG, 'MAXLEN', '~', 4096, ver .. '-0', 'node', node,
                'endpoint', endpoint, 'event', event)
end

return { 'OK', now, ver }
