-- Users for wrk: each request brings the key of another one; they are written
-- beforehand, since the client is not what is to be measured. At the end there
-- is a line for the program that reads this: requests, microseconds, errors,
-- and the median and 99th percentile of the time of a request in microseconds.

local USERS = 10000

local requests = {}
local user = 0

function init()
    for n = 1, USERS do
        requests[n] = wrk.format("GET", "/",
            { ["X-User"] = string.format("u%09d", n) })
    end
end

function request()
    user = user % USERS + 1
    return requests[user]
end

function done(summary, latency)
    local e = summary.errors

    print(string.format("result %d %d %d %d %d", summary.requests,
        summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
