// Rates of the last minutes, from totals that were polled; before them, from
// what the server has of the rollout.

const HISTORY_MS = 10 * 60 * 1000;
const RATE_MS = 5000;
const CLASSES = ['2xx', '4xx', '5xx'];


function totalsOf(release) {
    return {
        attempts: release.attempts,
        '2xx': release.responses['2xx'],
        '4xx': release.responses['4xx'],
        '5xx': release.responses['5xx'],
        failed: release.failed,
        timeouts: release.timeouts,
        aborted: release.aborted,
        abandoned: release.abandoned,
    };
}


// A sample of a point of the server, which has rates and no totals.

function givenSample(point, seconds, roles) {
    const sample = { at: 0, given: true, weight: point.weight, served: null,
                     releases: {} };

    for (const role of ['stable', 'canary']) {
        const side = point[role];

        sample.releases[roles[role]] = {
            rates: {
                attempts: side.attempts / seconds,
                '4xx': side['4xx'] / seconds,
                '5xx': side['5xx'] / seconds,
                failed: 0,
            },
            latency: { p50: side.p50_ms, p99: side.p99_ms },
        };
    }

    return sample;
}


class History {
    constructor() {
        this.samples = [];
    }

    // A restart of nginx may lose what was last counted: all begins anew.

    add(endpoint) {
        const sample = {
            at: performance.now(),
            weight: endpoint.weight,
            served: endpoint.served_weight,
            releases: {},
        };

        for (const release of endpoint.releases) {
            sample.releases[release.name] = {
                totals: totalsOf(release),
                latency: release.latency_ms || { p50: null, p99: null },
            };
        }

        const last = this.samples.at(-1);

        if (last && !last.given && endpoint.releases.some((release) =>
            last.releases[release.name]
            && last.releases[release.name].totals.attempts
               > release.attempts))
        {
            this.samples = [];
        }

        this.samples.push(sample);

        while (this.samples[0].at < sample.at - HISTORY_MS - RATE_MS) {
            this.samples.shift();
        }
    }

    // Puts the points of the server before what was polled. The last of them
    // ended when the next one began, 5 s ago at most; or, if it is over, with
    // the rollout.

    fill(history, roles, ended) {
        const { seconds, points } = history;

        if (!points.length) {
            return;
        }

        const newest = Date.parse(points.at(-1).time);
        const end = this.samples.length ? this.samples[0].at
                                        : performance.now();
        const age = Math.min(seconds * 1000, Math.max(0,
            Date.now() - newest - seconds * 1000));

        const given = points.map((point) => {
            const time = Date.parse(point.time);
            const length = ended && time === newest
                ? Math.min(seconds, Math.max(1, (ended - time) / 1000))
                : seconds;
            const sample = givenSample(point, length, roles);

            sample.at = end - age - (newest - time);

            return sample;
        });

        // A line begins where its first point does.

        given.unshift({ ...given[0], at: given[0].at - seconds * 1000 });
        this.samples.unshift(...given);
    }

    // Attempts per second of a release, by class, up to that sample; null if
    // there is nothing to compare it with.

    rates(name, index) {
        const sample = this.samples.at(index);
        const now = sample && sample.releases[name];

        if (!now || sample.given) {
            return now ? now.rates : null;
        }

        const end = index < 0 ? this.samples.length + index : index;
        let first = end;

        while (first > 0 && this.samples[first - 1].at >= sample.at - RATE_MS
               && !this.samples[first - 1].given
               && this.samples[first - 1].releases[name])
        {
            first--;
        }

        if (first === end) {
            return null;
        }

        const then = this.samples[first].releases[name].totals;
        const seconds = (sample.at - this.samples[first].at) / 1000;
        const rates = {};

        for (const key of Object.keys(then)) {
            rates[key] = Math.max(0, now.totals[key] - then[key]) / seconds;
        }

        return rates;
    }

    // [milliseconds before the last sample, value or null], oldest first

    series(value) {
        const end = this.samples.length
                    ? this.samples.at(-1).at : 0;

        return this.samples.map((sample, index) =>
            [end - sample.at, value(sample, index)]);
    }
}
