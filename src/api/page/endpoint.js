// One endpoint: where its rollout is, what decides it, and what can be done.

const EVENTS_EACH = 5;          // polls


function endpointLink(name) {
    return `#/endpoint/${encodeURIComponent(name)}`;
}


function panel(title, ...children) {
    return element('section', { class: 'panel' },
        element('h2', {}, title), ...children);
}


// The share of the canary, wanted and served.

class Split {
    constructor() {
        this.target = this.bar('Target');
        this.served = this.bar('Served');
        this.empty = element('p', { class: 'quiet' });
        this.bars = element('div', { class: 'split' },
            this.target.node, this.served.node);
        this.node = panel('Traffic', this.bars, this.empty);
    }

    bar(name) {
        const canary = element('span', { class: 'canary' });
        const stable = element('span', { class: 'stable' });
        const text = element('span', { class: 'share' });
        const track = element('span', { class: 'track',
                                        'aria-hidden': 'true' },
            canary, stable);

        return {
            canary, text,
            node: element('p', { class: 'row' },
                element('span', { class: 'name' }, name), track, text),
        };
    }

    update(endpoint) {
        const idle = endpoint.phase === 'idle';

        setHidden(this.bars, idle);
        setHidden(this.empty, !idle);
        setText(this.empty, `All of it goes to ${endpoint.stable}.`);

        this.draw(this.target, endpoint, endpoint.weight);
        this.draw(this.served, endpoint, endpoint.served_weight);
    }

    draw(bar, endpoint, weight) {
        setStyle(bar.canary, 'width', `${(weight || 0) * 100}%`);
        setText(bar.text, weight === null ? 'no request in this step yet'
            : `${percent(weight)} ${endpoint.canary}`);
    }
}


// The steps as a track.

class Steps {
    constructor() {
        this.list = element('ol', { class: 'steps' });
        this.items = [];
        this.now = element('p', { class: 'upcoming' });
        this.node = panel('Steps', this.list, this.now);
    }

    update(endpoint) {
        const { steps, step, phase } = endpoint;

        while (this.items.length < steps.length) {
            const text = element('span', { class: 'step' });
            const note = element('span', { class: 'hidden' });

            this.items.push({ node: element('li', {}, text, note),
                              text, note });
        }

        steps.forEach((weight, index) => {
            const item = this.items[index];
            const state = phase === 'idle' ? 'future'
                : index + 1 < step ? 'done'
                : index + 1 === step ? 'current' : 'future';

            setText(item.text, percent(weight));
            setClass(item.node, `${state} ${phase}`);
            setAttribute(item.node, 'aria-current',
                         state === 'current' ? 'step' : null);
            setText(item.note, state === 'done' ? ', done' : '');
        });

        setChildren(this.list, this.items.slice(0, steps.length)
            .map((item) => item.node));
        setText(this.now, this.words(endpoint));
    }

    words(endpoint) {
        const strategy = endpoint.strategy.canary_strategy || {};
        const interval = strategy.progress_interval_seconds;

        if (endpoint.phase !== 'idle') {
            return `Step ${endpoint.step} of ${endpoint.steps.length}`
                   + `${this.left(endpoint)}${this.needed(endpoint)}.`;
        }

        return `The next rollout takes ${plural(endpoint.steps.length,
            'step')}, one each ${duration(interval || 0)}, if every rule `
            + `passes${andApproved(strategy, false)}.`;
    }

    left(endpoint) {
        const seconds = endpoint.next_step_in_seconds;

        return seconds === null ? ''
            : seconds > 0 ? `: ${duration(seconds)} left`
            : ': its time is over';
    }

    needed(endpoint) {
        const needs = endpoint.rules
            .filter((rule) => rule.verdict === 'undecided')
            .map((rule) => rule.needs || 0);
        const most = Math.max(0, ...needs);

        return most ? `, its rules need ${plural(most, 'more clean attempt')}`
                    : '';
    }
}


// Figures of both sides, and their course.

const FIGURES = [
    ['Attempts', 'attempts'], ['2xx', '2xx'], ['4xx', '4xx'], ['5xx', '5xx'],
    ['Failed', 'failed'],
];

const QUANTILES = ['p50', 'p90', 'p99'];


class Releases {
    constructor(history) {
        this.history = history;
        this.stable = this.column();
        this.canary = this.column();
        this.table = this.render();

        const lines = [{ name: 'stable', class: 'stable' },
                       { name: 'canary', class: 'canary' }];

        this.charts = {
            attempts: new Chart('Attempts/s', lines, rate, 1),
            errors: new Chart('5xx and failed', lines, percent, 0.01, 1),
            p50: new Chart('p50 latency', lines, milliseconds, 1),
            p99: new Chart('p99 latency', lines, milliseconds, 1),
        };

        this.node = element('div', { class: 'releases-panel' },
            panel('Stable and canary', this.table,
                element('p', { class: 'quiet' },
                    'Rates of the last 5 seconds, and in all; latencies of '
                    + 'this step.')),
            panel('Last minutes', element('div', { class: 'charts' },
                Object.values(this.charts).map((chart) => chart.node))));
    }

    column() {
        const column = { role: element('span'), head: element('span'),
                         cells: {} };

        for (const key of [...FIGURES.map((one) => one[1]), ...QUANTILES]) {
            column.cells[key] = {
                main: element('span', { class: 'main' }),
                total: element('span', { class: 'quiet' }),
            };
        }

        return column;
    }

    render() {
        const cell = (column, key) => element('td', {},
            column.cells[key].main, ' ', column.cells[key].total);
        const row = (name, key) => element('tr', {},
            element('th', { scope: 'row' }, name),
            cell(this.stable, key), cell(this.canary, key));

        return element('table', { class: 'compare' },
            element('caption', { class: 'hidden' },
                'Figures of stable and canary'),
            element('thead', {}, element('tr', {},
                element('td'),
                element('th', { scope: 'col', class: 'stable' },
                    this.stable.role, ' ', this.stable.head),
                element('th', { scope: 'col', class: 'canary' },
                    this.canary.role, ' ', this.canary.head))),
            element('tbody', {},
                FIGURES.map(([name, key]) => row(name, key)),
                QUANTILES.map((key) => row(key, key))));
    }

    update(endpoint) {
        const byName = (name) =>
            endpoint.releases.find((release) => release.name === name);
        const last = endpoint.last_rollout;

        // After a rollout its release stays on show.

        const other = endpoint.canary || (last && last.release
            !== endpoint.stable && byName(last.release) ? last.release : null);

        setText(this.stable.role, 'Stable');
        setText(this.canary.role, endpoint.canary || !other ? 'Canary'
                                                            : 'Last canary');
        this.fill(this.stable, endpoint.stable && byName(endpoint.stable));
        this.fill(this.canary, other && byName(other));
        this.draw(endpoint.stable, other);
    }

    fill(column, release) {
        setText(column.head, release ? release.name : NOTHING);

        const rates = release && this.history.rates(release.name, -1);
        const totals = release && totalsOf(release);

        for (const [, key] of FIGURES) {
            setText(column.cells[key].main,
                    rates ? `${rate(rates[key])}/s` : NOTHING);
            setText(column.cells[key].total,
                    totals ? `${count(totals[key])} in all` : '');
        }

        for (const key of QUANTILES) {
            setText(column.cells[key].main,
                    release ? milliseconds(release.latency_ms[key])
                            : NOTHING);
        }
    }

    draw(stable, canary) {
        const both = (value) => [stable, canary].map((name) =>
            this.history.series((sample, index) =>
                name && sample.releases[name] ? value(name, sample, index)
                                              : null));
        const rates = (name, index) => this.history.rates(name, index);

        this.charts.attempts.update(both((name, sample, index) => {
            const now = rates(name, index);
            return now ? now.attempts : null;
        }));

        this.charts.errors.update(both((name, sample, index) => {
            const now = rates(name, index);
            return now && now.attempts
                ? Math.min(1, (now['5xx'] + now.failed) / now.attempts) : null;
        }));

        for (const key of ['p50', 'p99']) {
            this.charts[key].update(both((name, sample) =>
                sample.releases[name].latency[key]));
        }
    }
}


class Failures {
    constructor() {
        this.body = element('tbody');
        this.table = element('div', { class: 'scroll', tabindex: '0',
                                      role: 'region',
                                      'aria-label': 'Failed attempts' },
            element('table', { class: 'failures' },
                element('caption', { class: 'hidden' },
                    'Failed attempts on the canary, newest first'),
                element('thead', {}, element('tr', {},
                    ['Time', 'Request', 'Peer', 'Answer', 'After'].map(
                        (name) => element('th', { scope: 'col' }, name)))),
                this.body));
        this.empty = element('p', { class: 'quiet' }, 'None.');
        this.node = panel('Failed attempts on the canary', this.empty,
                          this.table);
        this.shown = '';
        this.update([]);
    }

    update(failures) {
        const key = JSON.stringify(failures);

        if (key === this.shown) {
            return;
        }

        this.shown = key;
        setHidden(this.empty, failures.length > 0);
        setHidden(this.table, failures.length === 0);

        this.body.replaceChildren(...failures.map((failure) =>
            element('tr', {},
                element('td', {}, clock(failure.time)),
                element('td', { class: 'code' },
                    `${failure.method} ${failure.uri}`),
                element('td', { class: 'code' }, failure.peer || NOTHING),
                element('td', {}, failure.failure
                    || `${failure.status}`),
                element('td', {}, milliseconds(failure.time_ms)))));
    }
}


class Events {
    constructor() {
        this.events = [];
        this.list = element('ol', { class: 'events' });
        this.empty = element('p', { class: 'quiet' }, 'None yet.');
        this.node = panel('Events', this.empty, this.list);
    }

    get last() {
        return this.events.length ? this.events[0].id : 0;
    }

    // Newer ones, newest first.

    add(events) {
        this.events = [...events, ...this.events].slice(0, 64);
        this.list.prepend(...events.map((event) => this.item(event)));

        while (this.list.children.length > this.events.length) {
            this.list.lastElementChild.remove();
        }

        setHidden(this.empty, this.events.length > 0);
    }

    item(event) {
        const { from, to, actor, figures } = event;
        const rules = figures.rules || [];
        const move = from.phase === to.phase && from.weight === to.weight
            ? `${PHASES[to.phase]} ${percent(to.weight)}`
            : `${PHASES[from.phase]} ${percent(from.weight)} → `
              + `${PHASES[to.phase]} ${percent(to.weight)}`;

        return element('li', {},
            element('p', { class: 'head' },
                element('time', { datetime: event.time }, clock(event.time)),
                ' ', element('strong', {}, move), ' ',
                element('span', { class: 'quiet' }, 'by ' + actor.name
                    + (actor.address ? ` from ${actor.address}` : ''))),
            event.reason ? element('p', { class: 'reason' }, event.reason)
                         : null,
            rules.length ? element('details', {},
                element('summary', {}, 'Figures that decided'),
                element('ul', {}, rules.map((rule) => element('li', {},
                    `${ruleName(rule.rule, rule.match)}: `
                    + `${figure(rule, rule.value)}, `
                    + `limit ${limit(rule)}, `
                    + `${plural(rule.attempts, 'attempt')}: `
                    + rule.verdict)))) : null);
    }
}


class EndpointView {
    constructor(name, app) {
        this.name = name;
        this.app = app;
        this.title = name;
        this.current = null;
        this.shown = 0;
        this.polls = 0;
        this.history = new History();

        this.phase = element('span', { class: 'badge' });
        this.next = element('p', { class: 'lead' });
        this.alert = element('p', { class: 'alert', hidden: true });
        this.split = new Split();
        this.steps = new Steps();
        this.rules = new Rules();
        this.releases = new Releases(this.history);
        this.failures = new Failures();
        this.events = new Events();
        this.actions = new Actions(this);
        this.body = element('div', { hidden: true });
        this.node = this.render();
    }

    render() {
        this.body.append(
            element('div', { class: 'grid' },
                element('div', { class: 'column' },
                    this.split.node, this.steps.node, this.rules.node,
                    this.events.node),
                element('div', { class: 'column' }, this.releases.node)),
            this.failures.node);

        return element('div', { class: 'endpoint' },
            element('p', { class: 'back' },
                element('a', { href: '#/' }, '← All endpoints')),
            element('div', { class: 'heading' },
                element('h1', {}, this.name), this.phase),
            this.next, this.alert, this.actions.node, this.body);
    }

    interval() {
        return 1000;
    }

    // What a write answered meanwhile is newer.

    async poll() {
        const before = this.current;
        const shown = this.shown;
        let endpoint;

        try {
            endpoint = await request('GET', endpointPath(this.name));

        } catch (error) {
            if (error.status === 404) {
                this.missing();
                return 0;
            }

            throw error;
        }

        if (this.shown === shown) {
            this.show(endpoint);
        }

        const moved = !before || before.generation !== endpoint.generation;

        if (moved || this.polls++ % EVENTS_EACH === 0) {
            await this.pollLists();
        }

        return endpoint.controller.heartbeat_age_ms;
    }

    async pollLists() {
        const [{ events }, { failures }] = await Promise.all([
            request('GET', endpointPath(this.name, '/events')
                           + (this.events.last
                              ? `?after=${this.events.last}` : '')),
            request('GET', endpointPath(this.name, '/failures')),
        ]);

        this.events.add(events.filter((one) => one.id > this.events.last));
        this.failures.update(failures);
    }

    show(endpoint) {
        const before = this.current;

        this.shown++;
        this.current = endpoint;
        this.history.add(endpoint);

        setText(this.phase, PHASES[endpoint.phase] || endpoint.phase);
        setClass(this.phase, `badge ${endpoint.phase}`);
        setText(this.next, this.headline(endpoint));

        const why = attention(endpoint);

        setHidden(this.alert, why === null);
        setText(this.alert, this.warning(endpoint, why));

        this.split.update(endpoint);
        this.steps.update(endpoint);
        this.rules.update(endpoint);
        this.releases.update(endpoint);
        this.actions.update(endpoint);
        setHidden(this.body, false);

        if (before && before.generation !== endpoint.generation) {
            this.app.announce(`${this.name}: ${PHASES[endpoint.phase]}, `
                              + percent(endpoint.weight));
        }
    }

    headline(endpoint) {
        if (endpoint.phase === 'idle') {
            return `${endpoint.stable} serves all requests.`
                   + (rolledBackLately(endpoint) ? ''
                      : ` ${upcoming(endpoint)}.`);
        }

        return `${endpoint.canary} replaces ${endpoint.stable}, `
               + `${percent(endpoint.weight)} so far. `
               + `${upcoming(endpoint)}.`;
    }

    warning(endpoint, why) {
        if (endpoint.phase === 'idle' && rolledBackLately(endpoint)) {
            return `${why}: ${endpoint.last_rollout.reason}`;
        }

        return why || '';
    }

    missing() {
        setHidden(this.body, true);
        setHidden(this.alert, false);
        setText(this.alert, 'There is no endpoint of this name any more.');
    }

    event(event) {
        if (event.endpoint === this.name) {
            this.app.soon();
        }
    }
}
