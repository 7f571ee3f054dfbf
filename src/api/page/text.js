'use strict';

// Elements, and how figures are written.

// element('p', {class: 'x', onclick: f, 'aria-label': 'y'}, 'text', child...)
// Text only ever becomes text: nothing here parses HTML.

function element(name, properties, ...children) {
    const node = document.createElement(name);

    for (const [key, value] of Object.entries(properties || {})) {
        if (key.startsWith('on')) {
            node.addEventListener(key.slice(2), value);

        } else if (value === true) {
            node.setAttribute(key, '');

        } else if (value !== false && value !== null && value !== undefined) {
            node.setAttribute(key, value);
        }
    }

    node.append(...children.flat().filter((child) => child !== null));

    return node;
}


// What did not change is not touched: no layout, nothing read out again.

function setText(node, text) {
    if (node.textContent !== text) {
        node.textContent = text;
    }
}


function setAttribute(node, name, value) {
    if (value === null) {
        if (node.hasAttribute(name)) {
            node.removeAttribute(name);
        }

    } else if (node.getAttribute(name) !== value) {
        node.setAttribute(name, value);
    }
}


function setClass(node, value) {
    if (node.className !== value) {
        node.className = value;
    }
}


function setHidden(node, hidden) {
    if (node.hidden !== hidden) {
        node.hidden = hidden;
    }
}


function setStyle(node, property, value) {
    if (node.style.getPropertyValue(property) !== value) {
        node.style.setProperty(property, value);
    }
}


// Makes the children those of the list; focus stays where it is.

function setChildren(parent, children) {
    children.forEach((child, index) => {
        if (parent.children[index] !== child) {
            parent.insertBefore(child, parent.children[index] || null);
        }
    });

    while (parent.children.length > children.length) {
        parent.lastElementChild.remove();
    }
}


const NOTHING = '–';


// 0.25 is "25 %"; as many digits as tell something. A unit does not leave its
// number at the end of a line.

const GLUE = '\u00a0';

function percent(ratio) {
    if (ratio === null || ratio === undefined) {
        return NOTHING;
    }

    const value = ratio * 100;
    const digits = value >= 10 ? 1 : value >= 1 ? 2 : 3;

    return `${Number(value.toFixed(digits))}${GLUE}%`;
}


function count(value) {
    return value.toLocaleString('en');
}


function rate(value) {
    if (value === null || value === undefined) {
        return NOTHING;
    }

    return value >= 100 || value === 0 ? count(Math.round(value))
                                       : value.toFixed(1);
}


function milliseconds(value) {
    if (value === null || value === undefined) {
        return NOTHING;
    }

    if (value >= 10000) {
        return `${(value / 1000).toFixed(1)}${GLUE}s`;
    }

    return `${Number(value.toPrecision(3))}${GLUE}ms`;
}


function duration(seconds) {
    if (seconds < 10) {
        return `${seconds.toFixed(1)}${GLUE}s`;
    }

    if (seconds < 120) {
        return `${Math.round(seconds)}${GLUE}s`;
    }

    if (seconds < 7200) {
        const whole = Math.round(seconds);
        const rest = whole % 60;

        return `${Math.floor(whole / 60)}${GLUE}min`
               + (rest ? `${GLUE}${rest}${GLUE}s` : '');
    }

    if (seconds < 172800) {
        return `${Math.floor(seconds / 3600)}${GLUE}h${GLUE}`
               + `${Math.floor(seconds % 3600 / 60)}${GLUE}min`;
    }

    return `${Math.floor(seconds / 86400)}${GLUE}days`;
}


function ago(time) {
    const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);

    return seconds < 5 ? 'just now' : `${duration(Math.floor(seconds))} ago`;
}


function clock(time) {
    const date = new Date(time);
    const today = date.toDateString() === new Date().toDateString();
    const text = date.toLocaleTimeString('en-GB');

    return today ? text : `${date.toLocaleDateString('en-CA')} ${text}`;
}


function plural(n, noun) {
    return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}


// The value of a rule, in its unit.

function isLatency(rule) {
    return rule.startsWith('latency');
}


function figure(rule, value) {
    if (value === null || value === undefined) {
        return NOTHING;
    }

    if (rule.rule === 'failed_requests_max') {
        return count(value);
    }

    return isLatency(rule.rule) ? milliseconds(value) : percent(value);
}


// A value of no attempt is none.

function measured(rule) {
    return rule.attempts === 0 && rule.rule !== 'failed_requests_max'
        ? NOTHING : figure(rule, rule.value);
}


function limit(rule) {
    if (rule.baseline !== 'stable') {
        return figure(rule, rule.threshold);
    }

    return isLatency(rule.rule) ? `${rule.threshold} × stable`
                                : `stable + ${percent(rule.threshold)}`;
}


const RULES = {
    error_4xx_rate: '4xx errors',
    error_5xx_rate: '5xx errors',
    error_rate: 'Errors',
    latency_avg_max: 'Mean latency',
    latency_p50_max: 'p50 latency',
    latency_p90_max: 'p90 latency',
    latency_p95_max: 'p95 latency',
    latency_p99_max: 'p99 latency',
    failed_requests_max: 'Failed requests',
    abandoned_rate: 'Abandoned',
    match_rate: 'Answers of a match',
};


function ruleName(name, match) {
    return match ? `Answers: ${match}` : RULES[name] || name;
}
