-- What a node says and asks every 50 or 250 ms.
--
-- KEYS of all scripts: canary:{FLEET}: 1 rec  2 chg  3 log  4 live  5 ev
--      6 trial  7 view.  rec, chg and log are replicated and in the AOF, the
--      others are in this server's memory and nowhere else.
-- ARGV 1 node  2 its incarnation  3 the one before it, or "0"
--      4 seed of the data that it knows  5 version of changes that it knows
--      6 version that its file has  7 timeout (ms)
--      8 "1": it may lead  9 the highest term of a leader that it knows
--      10 the fleet's time by its clock (ms), "" if it does not know it
--      11 "1": what there is once a second
--      12 presence: see canary_fleet_nodes.h
--      13 evidence, "": none with this tick
--      a leader's, else "":
--      14 quorum, "": it does not know yet that it leads
--      15 orders, by which cohorts are folded: one word, as "mark"
--      16 state of its tests  17... endpoint, view, endpoint, view ... that
--      are new; "": there is none any more
--
-- {"EMPTY", now}  {"LOST", now}  {"DUP", now, address of the other one}
-- {"OK", 2 now (ms), 3 shift ("": none), 4 version, 5 up to which version all
--  changes are in here, 6 1: the node leads, 7 leader or "", 8 its term,
--  9 since when, 10 age of the data (ms), 11 quorum, 12 mark or "",
--  13 number of members, 14 members if they have changed, else "": name and
--  join number of each, 15 {endpoint, version, record ...} that have changed,
--  oldest first, 16 {id, node, endpoint, event ...}, 17 live and 18 view as
--  {field, value ...} (live: the leader and once a second; view: once a second,
--  not the leader), the leader: 19 ev as {node, evidence ...}, when it does not
--  know yet that it leads: 20 state of the tests}; what there is not is "" or
--  empty

local LEASE = 1000          -- ms that a leader may be silent
local HOLD = 3000           -- and that a new one takes no step
local GONE = 10000          -- of silence, until a node is gone
local NEW = 30000           -- of life, until a member is kept when it is
local DROPPED = 600000      -- of silence, until any member is dropped
local KEPT = 900000         -- of what is not replicated
local JUMP = 200            -- of this clock at once, and the fleet's goes on
local CHANGES = 64          -- in an answer

local REC, CHG, LOG, LIVE, EV, TRIAL, VIEW = unpack(KEYS)
local node, incarnation, before, seed = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known, timeout = tonumber(ARGV[5]), tonumber(ARGV[7])
local fleet = tonumber(ARGV[10])
local second = ARGV[11] == '1'
local presence = ARGV[12]

local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

-- Is this what the node knows?  The last change has to be that of the version,
-- else keys have been lost one by one.

local m = redis.call('HMGET', REC, '@seed', '@ver', '@born', '@n',
                     '@m:' .. node, '@joined', '@seeds')
if not m[1] then return { 'EMPTY', now } end

if not (m[2] and m[3] and m[4] and m[6] and m[7]) then
    return { 'LOST', now }
end

local ver, born, n = tonumber(m[2]), tonumber(m[3]), tonumber(m[4])
local top = redis.call('ZREVRANGE', CHG, 0, 0, 'WITHSCORES')

if m[1] ~= seed or ver < known or tonumber(top[2]) ~= ver then
    return { 'LOST', now }
end

-- Who else is there?

local function parse(text)
    local p = {}
    p.inc, p.last, p.ver, p.lived, p.says =
        string.match(text or '', '^(%S+) (%d+) (%d+) (%d+) (.*)$')
    p.last, p.lived = tonumber(p.last), tonumber(p.lived)
    return p.last and p
end

local nodes                 -- by name, without this one

local function others()
    if nodes then return nodes end
    nodes = {}
    local all = redis.call('HGETALL', LIVE)
    for i = 1, #all, 2 do
        if all[i] ~= node and all[i] ~= '@lead' then
            nodes[all[i]] = parse(all[i + 1])
        end
    end
    return nodes
end

local function alive(p)
    return now >= p.last and now - p.last <= timeout
end

local me = parse(redis.call('HGET', LIVE, node))

if me and me.inc ~= incarnation and me.inc ~= before
   and now >= me.last and now - me.last < GONE
then
    return { 'DUP', now, string.match(me.says, '^%S+') or '' }
end

-- The lease: of the first that may lead, while it is prolonged.  No clock can
-- make it last.

local lead = { string.match(redis.call('HGET', LIVE, '@lead') or '',
    '^(%S+) (%S+) (%d+) (%d+) (%d+) (%-?%d+) (%S+) (%d+)$') }
local who, inc, mark = lead[1], lead[2], lead[7]
local term, till, since, shift, quorum = tonumber(lead[3]),
    tonumber(lead[4]), tonumber(lead[5]), tonumber(lead[6]), tonumber(lead[8])

local valid = who and till > now and till <= now + LEASE
local leads = valid and who == node and inc == incarnation

-- what a live node has, the leader has to have

local function lacks_nothing()
    for line in string.gmatch(presence, '\n([^\n]+)') do
        local word, kind = string.match(line, '^(%S+) (%S+)')
        if kind ~= 'server' then
            for _, p in pairs(others()) do
                if alive(p)
                   and not string.find(p.says, '\n' .. line .. '\n', 1, true)
                   and not string.find(p.says, '\n' .. word .. ' endpoint\n',
                                       1, true)
                then
                    return false
                end
            end
        end
    end
    return true
end

local new = false           -- leader

if leads or not valid then
    if ARGV[8] == '1' and lacks_nothing() then
        if not leads then
            term = math.max(term or 0, tonumber(ARGV[9])) + 1
            since, mark, leads, new = now, '-', true, true
        end
    else
        leads, valid = false, false
    end
end

-- When this clock jumps, times that were written before go with it.

local moved = {}            -- nodes whose presence is to be written

local function jumped(jump)
    local function move(at)
        if jump > 0 and now - at > jump / 2 or jump < 0 and at > now then
            return at + jump
        end
        return at
    end

    if not new then since = move(since) end
    if born ~= move(born) then
        born = move(born)
        redis.call('HSET', REC, '@born', born)
    end
    for name, p in pairs(others()) do
        if p.last ~= move(p.last) then
            p.last = math.max(0, move(p.last))
            moved[name] = p
        end
    end
end

if leads then
    quorum = tonumber(ARGV[14]) or 0
    if ARGV[15] ~= '' then mark = ARGV[15] end
    if fleet and not shift then
        shift = fleet - now
    elseif fleet and math.abs(now + shift - fleet) > JUMP then
        jumped(now + shift - fleet)
        shift = fleet - now
    end
    shift = shift or 0

    if born > now then
        born = now
        redis.call('HSET', REC, '@born', born)
    end
end

-- Members, which are replicated.

local function change(what)
    ver = redis.call('HINCRBY', REC, '@ver', 1)
    redis.call('ZADD', CHG, ver, what)
end

local function members()
    local all = {}
    for _, field in ipairs(redis.call('HKEYS', REC)) do
        local name = string.match(field, '^@m:(.+)$')
        if name then all[#all + 1] = name end
    end
    return all
end

local lived = me and me.lived or 0

if me and now > me.last then
    lived = math.min(NEW, lived + math.min(now - me.last, timeout))
end

if not m[5] then
    local number = redis.call('HINCRBY', REC, '@joined', 1)
    redis.call('HSET', REC, '@m:' .. node, number .. ' new')
    n = #members()
    redis.call('HSET', REC, '@n', n)
    change('@members')
elseif lived >= NEW and string.find(m[5], ' new', 1, true) then
    redis.call('HSET', REC, '@m:' .. node, string.match(m[5], '^%d+'))
end

local drop = {}

if leads and second and now - since >= HOLD then
    local live = 1
    for _, p in pairs(others()) do
        if alive(p) then live = live + 1 end
    end

    local majority = live * 2 > n

    for _, name in ipairs(members()) do
        local p = others()[name]
        local is = redis.call('HGET', REC, '@m:' .. name)
        if name == node then
            -- here it is
        elseif not p then
            -- from now on it is known for how long
            moved[name] = { inc = '0', last = now - GONE, ver = 0, lived = 0,
                            says = '- 0\n' }
        elseif majority and (now - p.last >= DROPPED
               or now - p.last >= GONE and string.find(is, ' new', 1, true))
        then
            drop[#drop + 1] = name
            redis.call('HDEL', REC, '@m:' .. name)
            n = redis.call('HINCRBY', REC, '@n', -1)
        end
    end

    if #drop > 0 then change('@members') end
end

-- From here on nothing is replicated.

pcall(redis.set_repl, redis.REPL_NONE)

redis.call('HSET', LIVE, node, table.concat({ incarnation, now, ARGV[6],
           lived, presence }, ' '))

for name, p in pairs(moved) do
    redis.call('HSET', LIVE, name, table.concat({ p.inc, p.last, p.ver,
               p.lived, p.says }, ' '))
end

for _, name in ipairs(drop) do
    redis.call('HDEL', LIVE, name)
    redis.call('HDEL', EV, name)
end

if ARGV[13] ~= '' then redis.call('HSET', EV, node, ARGV[13]) end

local trial = ''

if leads then
    if new or ARGV[14] == '' then trial = redis.call('GET', TRIAL) or '' end

    redis.call('HSET', LIVE, '@lead', table.concat({ node, incarnation, term,
               now + LEASE, since, shift, mark, quorum }, ' '))

    if ARGV[16] ~= '' then redis.call('SET', TRIAL, ARGV[16]) end

    if new then
        for _, endpoint in ipairs(redis.call('HKEYS', VIEW)) do
            redis.call('HDEL', VIEW, endpoint)
        end
    end

    for i = 17, #ARGV - 1, 2 do
        if ARGV[i + 1] == '' then
            redis.call('HDEL', VIEW, ARGV[i])
        else
            redis.call('HSET', VIEW, ARGV[i], ARGV[i + 1])
        end
    end

    if second then
        for i = 4, 7 do redis.call('PEXPIRE', KEYS[i], KEPT) end
    end

elseif who == node and inc == incarnation and till > 0 then
    -- it may not lead any more
    redis.call('HSET', LIVE, '@lead', table.concat({ who, inc, term, 0, since,
               shift, mark, 0 }, ' '))
end

-- What is new since the version that the node knows.

local changes, events, upto, named = {}, {}, ver, ''

if ver > known then
    local all = redis.call('ZRANGEBYSCORE', CHG, '(' .. known, '+inf',
                           'WITHSCORES', 'LIMIT', 0, CHANGES)
    for i = 1, #all, 2 do
        if all[i] == '@members' then
            local names = members()
            for j, name in ipairs(names) do
                names[j] = name .. ' ' .. string.match(
                    redis.call('HGET', REC, '@m:' .. name), '^%d+')
            end
            named = table.concat(names, ' ')
        elseif string.sub(all[i], 1, 1) ~= '@' then
            changes[#changes + 1] = all[i]
            changes[#changes + 1] = tonumber(all[i + 1])
            changes[#changes + 1] = redis.call('HGET', REC, all[i]) or ''
        end
    end

    if #all == 2 * CHANGES then upto = tonumber(all[#all]) end

    local log = redis.call('XRANGE', LOG, known + 1 .. '-0', upto .. '-0',
                           'COUNT', CHANGES)
    for _, e in ipairs(log) do
        local id = tonumber(string.match(e[1], '^%d+'))
        events[#events + 1] = id
        for i = 2, #e[2], 2 do events[#events + 1] = e[2][i] end
        if #log == CHANGES then upto = id end
    end
end

local led = leads or valid

return { 'OK', now, shift and tostring(shift) or '', ver, upto,
         leads and 1 or 0, leads and node or valid and who or '',
         led and term or 0, led and since or 0, math.max(0, now - born),
         led and quorum or 0, led and mark ~= '-' and mark or '',
         n, named, changes, events,
         (leads or second) and redis.call('HGETALL', LIVE) or {},
         (second and not leads) and redis.call('HGETALL', VIEW) or {},
         leads and redis.call('HGETALL', EV) or {}, trial }
