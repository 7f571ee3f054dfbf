// A line chart of the last minutes, in SVG; its colours are in the style.

const SVG = 'http://www.w3.org/2000/svg';
const CHART = { width: 320, height: 110, left: 4, right: 4, top: 8,
                bottom: 4 };
const GAP_MS = 10000;
const SPANS_MS = [60000, 120000, 300000, HISTORY_MS];


function svg(name, attributes) {
    const node = document.createElementNS(SVG, name);

    for (const [key, value] of Object.entries(attributes || {})) {
        node.setAttribute(key, value);
    }

    return node;
}


// The top of the scale: 1, 2 or 5 times a power of ten.

function niceTop(value) {
    if (!(value > 0)) {
        return 1;
    }

    const power = 10 ** Math.floor(Math.log10(value));
    const step = [1, 2, 5, 10].find((n) => n * power >= value * 0.999);

    return step * power;
}


class Chart {
    // lines: [{name, class}]; write: how a value is written; top: the least
    // that the scale goes up to; max: the most

    constructor(title, lines, write, top, max) {
        this.lines = lines;
        this.title = title;
        this.write = write;
        this.least = top;
        this.max = max;

        this.svg = svg('svg', {
            viewBox: `0 0 ${CHART.width} ${CHART.height}`,
            role: 'img', preserveAspectRatio: 'none', class: 'plot',
        });

        this.drawGrid();

        this.paths = lines.map((line) => {
            const path = svg('path', { class: `line ${line.class}` });
            this.svg.append(path);
            return path;
        });

        this.values = lines.map(() => element('span', { class: 'now' }));
        this.scale = element('span', { class: 'scale' });
        this.since = element('span');
        this.until = element('span', {}, 'now');
        this.node = this.render();
    }

    drawGrid() {
        for (const part of [0, 0.5, 1]) {
            const y = CHART.top
                      + (CHART.height - CHART.top - CHART.bottom) * part;

            this.svg.append(svg('line', {
                class: 'grid', x1: CHART.left, y1: y,
                x2: CHART.width - CHART.right, y2: y,
            }));
        }
    }

    render() {
        return element('figure', { class: 'chart' },
            element('figcaption', {},
                element('span', { class: 'title' }, this.title),
                this.lines.map((line, index) =>
                    element('span', { class: `key ${line.class}` },
                        `${line.name} `, this.values[index]))),
            element('div', { class: 'canvas' }, this.scale, this.svg),
            element('div', { class: 'axis', 'aria-hidden': 'true' },
                this.since, this.until));
    }

    // data: a list of [age in milliseconds, value or null] for each line;
    // times: when it began and ended, if that is not now

    update(data, times) {
        const top = this.top(data);
        const oldest = Math.max(0, ...data.map((points) =>
            points.length ? points[0][0] : 0));
        const span = times ? Math.max(1, oldest)
            : SPANS_MS.find((one) => one >= oldest) || HISTORY_MS;

        setText(this.scale, this.write(top));
        setText(this.since, times ? times.since : `${span / 60000} min ago`);
        setText(this.until, times ? times.until : 'now');

        data.forEach((points, index) => {
            this.paths[index].setAttribute('d', this.path(points, top, span));
            setText(this.values[index],
                    this.write(points.length ? points.at(-1)[1] : null));
        });

        const now = this.lines.map((line, index) =>
            `${line.name} ${this.values[index].textContent}`);

        this.svg.setAttribute('aria-label',
                              `${this.title}, ${times ? 'at its end' : 'now'}: `
                              + now.join(', '));
    }

    top(data) {
        let top = this.least;

        for (const points of data) {
            for (const [, value] of points) {
                top = Math.max(top, value || 0);
            }
        }

        top = niceTop(top);

        return this.max ? Math.min(top, this.max) : top;
    }

    path(points, top, span) {
        const width = CHART.width - CHART.left - CHART.right;
        const height = CHART.height - CHART.top - CHART.bottom;
        let path = '';
        let last = null;

        for (const [age, value] of points) {
            if (value === null || age > span) {
                last = null;
                continue;
            }

            const x = CHART.left + width * (1 - age / span);
            const y = CHART.top + height * (1 - Math.min(1, value / top));
            const move = last === null || last - age > GAP_MS;

            // A point that stands alone is a dot.

            path += `${move ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`
                    + (move ? 'h0' : '');
            last = age;
        }

        return path;
    }
}


// The four of an endpoint.

class Charts {
    constructor(history) {
        const lines = [{ name: 'stable', class: 'stable' },
                       { name: 'canary', class: 'canary' }];

        this.history = history;
        this.attempts = new Chart('Attempts/s', lines, rate, 1);
        this.errors = new Chart('5xx and failed', lines, percent, 0.01, 1);
        this.p50 = new Chart('p50 latency', lines, milliseconds, 1);
        this.p99 = new Chart('p99 latency', lines, milliseconds, 1);
        this.node = element('div', { class: 'charts' },
            [this.attempts, this.errors, this.p50, this.p99].map((chart) =>
                chart.node));
    }

    draw(stable, canary, times) {
        const both = (value) => [stable, canary].map((name) =>
            this.history.series((sample, index) =>
                name && sample.releases[name] ? value(name, sample, index)
                                              : null));
        const rates = (name, index) => this.history.rates(name, index);

        this.attempts.update(both((name, sample, index) => {
            const now = rates(name, index);
            return now ? now.attempts : null;
        }), times);

        this.errors.update(both((name, sample, index) => {
            const now = rates(name, index);
            return now && now.attempts
                ? Math.min(1, (now['5xx'] + now.failed) / now.attempts) : null;
        }), times);

        for (const key of ['p50', 'p99']) {
            this[key].update(both((name, sample) =>
                sample.releases[name].latency[key]), times);
        }
    }
}
