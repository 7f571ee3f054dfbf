-- Visitors for wrk: each waits a while between its requests, so that the
-- server is not always busy, and what stops it for a moment meets as many of
-- them as come in that time. At the end there is the line that user.lua
-- prints, too.

local MEAN = 32                                     -- milliseconds

function delay()
    return math.random(1, 2 * MEAN - 1)
end

function done(summary, latency)
    local e = summary.errors

    print(string.format("result %d %d %d %d %d", summary.requests,
        summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99)))
end
