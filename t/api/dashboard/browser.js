'use strict';

// Tests in a browser, told as TAP: each has a context of its own, and fails
// when the page logs an error or asks another server than its own.

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { chromium } = require('playwright-core');

const TIMEOUT_MS = 120000;    // only what hangs reaches it
const ALL_MS = 1200000;
const shots = process.env.CANARY_SCREENSHOTS;
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const tests = [];


function test(name, options, run) {
    tests.push({ name, options, run });
}


function check(condition, text) {
    if (!condition) {
        throw new Error(text);
    }
}


function equal(got, expected, text) {
    check(JSON.stringify(got) === JSON.stringify(expected),
          `${text}: got ${JSON.stringify(got)}, expected `
          + JSON.stringify(expected));
}


async function until(condition, text) {
    const end = Date.now() + TIMEOUT_MS;

    for (;;) {
        const value = await condition();

        if (value) {
            return value;
        }

        check(Date.now() < end, `it never came to be: ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}


// What a test has: a page, what it asked for, and what it logged.

class Tab {
    constructor(context, page, expected) {
        this.context = context;
        this.page = page;
        this.expected = expected || [];
        this.logged = [];
        this.requests = [];

        page.on('request', (request) => this.requests.push(request));
        page.on('pageerror', (error) => this.logged.push(String(error)));
        page.on('console', (message) => {
            if (['error', 'warning'].includes(message.type())) {
                this.logged.push(message.text());
            }
        });
    }

    async open(url) {
        this.origin = new URL(url).origin;
        await this.page.goto(url);
    }

    find(role, name, exact = true) {
        return this.page.getByRole(role, { name, exact });
    }

    async sees(text) {
        await this.page.getByText(text).first()
            .waitFor({ timeout: TIMEOUT_MS });
    }

    async phase(text) {
        await this.page.locator('.heading .badge', { hasText: text })
            .waitFor({ timeout: TIMEOUT_MS });
    }

    async shot(name) {
        fs.mkdirSync(shots, { recursive: true });
        await this.page.screenshot({ path: path.join(shots, `${name}.png`),
                                     fullPage: true });
    }

    async fits() {
        const [page, window] = await this.page.evaluate(() =>
            [document.documentElement.scrollWidth, innerWidth]);

        check(page <= window, `the page is ${page} wide, not ${window}`);
    }

    // The page allows no script but its own: axe comes by the debugger.

    async accessible(what) {
        await this.page.evaluate(axe);

        const { violations } = await this.page.evaluate(() => axe.run());

        equal(violations.map((one) => `${one.id}: `
            + one.nodes.map((node) => node.target.join(' ')).join(', ')),
            [], `accessibility of ${what}`);
    }

    verify() {
        const strange = this.logged.filter((text) =>
            !this.expected.some((pattern) => pattern.test(text)));
        const away = this.requests.map((request) => request.url())
            .filter((url) => !url.startsWith(`${this.origin}/`)
                             && !url.startsWith('data:'));

        equal(strange, [], 'logged');
        equal(away, [], 'asked elsewhere');
    }
}


// Users of the front, some requests at a time, until it is stopped.

class Load {
    constructor(url, connections = 4) {
        this.agent = new http.Agent({ keepAlive: true });
        this.stopped = false;
        this.users = Array.from({ length: connections },
                                () => this.user(url));
    }

    async user(url) {
        while (!this.stopped) {
            await new Promise((resolve) => {
                http.get(url, { agent: this.agent }, (response) => {
                    response.resume().on('close', resolve);
                }).on('error', resolve);
            });
            await new Promise((resolve) => setTimeout(resolve, 5));
        }
    }

    async stop() {
        this.stopped = true;
        await Promise.all(this.users);
        this.agent.destroy();
    }
}


async function runOne(browser, { options, run }) {
    const context = await browser.newContext({
        viewport: { width: 1280, height: 900 }, ...options.context,
    });

    context.setDefaultTimeout(TIMEOUT_MS);

    const tab = new Tab(context, await context.newPage(), options.expected);

    try {
        await run(tab);
        tab.verify();

    } catch (error) {
        await tab.shot('failed').catch(() => {});
        throw error;

    } finally {
        await context.close();
    }
}


// However it goes, it ends.

async function main() {
    setTimeout(() => give('the browser took too long'), ALL_MS);

    try {
        await runAll();
        process.exit(0);

    } catch (error) {
        give(error.stack);
    }
}


function give(text) {
    console.log(text.replace(/^/gm, '# '));
    process.exit(1);
}


async function runAll() {
    console.log(`1..${tests.length}`);

    const browser = await chromium.launch({
        executablePath: process.env.CANARY_CHROMIUM,
        args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });

    for (const one of tests) {
        try {
            await runOne(browser, one);
            console.log(`ok - ${one.name}`);

        } catch (error) {
            console.log(`not ok - ${one.name}`);
            console.log(error.stack.replace(/^/gm, '# '));
        }
    }

    await browser.close();
}


module.exports = { check, equal, Load, main, test, until };
