'use strict';

// The dashboard as an operator uses it. CANARY_SITE tells what t/api/dashboard.t
// has started: addresses of locations and fronts, and the pid of the process
// with the control loop.

const http = require('node:http');

const { check, equal, Load, main, test, until } = require('./browser.js');

const site = JSON.parse(process.env.CANARY_SITE);
const phone = { viewport: { width: 375, height: 740 }, hasTouch: true,
                isMobile: true };


// What is done behind the page's back.

async function api(method, rest, body) {
    const response = await fetch(site.api + rest, {
        method, body: body && JSON.stringify(body),
    });

    check(response.ok, `${method} ${rest}: ${response.status}`);

    return response.json();
}


function rule(name, threshold, parameters = {}) {
    return { rule: name, rule_parameters: Object.entries(
        { threshold, ...parameters }).map(([key, value]) =>
        ({ name: key, value })) };
}


async function begin(name, strategy, release) {
    await end(name);

    const { stable } = await api('GET', `endpoints/${name}`);

    return api('POST', `endpoints/${name}/rollout`, {
        release: release || (stable === 'v1' ? 'v2' : 'v1'),
        canary_strategy: {
            progress_interval_seconds: 3600, progress_steps: [0.1, 0.5, 1],
            rules: [rule('failed_requests_max', 1000000)], ...strategy,
        },
    });
}


async function end(name) {
    if ((await api('GET', `endpoints/${name}`)).phase !== 'idle') {
        await api('POST', `endpoints/${name}/rollout/rollback`);
    }
}


// A rollout of a release that fails, up to its end.

async function breakShop() {
    const load = new Load(site.front);

    await begin('shop', { rules: [rule('error_5xx_rate', 0.1)] }, 'v3');
    await until(async () =>
        (await api('GET', 'endpoints/shop')).phase === 'idle', 'rolled back');
    await load.stop();
}


function endpoint(name) {
    return `${site.api}#/endpoint/${encodeURIComponent(name)}`;
}


// Opens the question of a button and answers it.

async function confirm(tab, name, reason) {
    await tab.find('button', name).click();

    const dialog = tab.find('dialog');

    if (reason) {
        await dialog.getByLabel('Reason').fill(reason);
    }

    await dialog.getByRole('button', { name, exact: true }).click();
    await dialog.waitFor({ state: 'detached' });
}


test('the first paint takes three requests and under 60 KB', {},
    async (tab) => {
        await tab.open(site.api);
        await tab.sees('Live');

        const files = tab.requests.filter((request) =>
            ['document', 'stylesheet', 'script', 'image', 'font']
                .includes(request.resourceType())
            && !request.url().startsWith('data:'));
        let bytes = 0;

        for (const request of files) {
            const sizes = await request.sizes();
            bytes += sizes.responseBodySize + sizes.responseHeadersSize;
        }

        equal(files.length, 3, 'requests');
        check(bytes < 60000, `${bytes} bytes`);
    });


test('a location without a slash at its end', {}, async (tab) => {
    await tab.open(site.bare);
    await tab.sees('shop');
    equal(tab.page.url(), `${site.bare}/`, 'address');
});


test('a proxy in front with another prefix', {}, async (tab) => {
    await tab.open(site.prefixed);
    await tab.sees('shop');
    await tab.find('link', 'shop').click();
    await tab.phase('Idle');
});


test('all endpoints: attention first, search, filters', {}, async (tab) => {
    await begin('search');
    await breakShop();
    await tab.open(site.api);
    await tab.sees('v3 was rolled back');

    const names = () => tab.page.locator('.endpoints tbody th')
        .allTextContents();
    const row = tab.find('row', /^search/);

    equal((await names()).slice(0, 2), ['shop', 'search'], 'order');
    equal(await row.locator('.badge').first().textContent(), 'Progressing',
          'phase');
    check(/v1 → v2.*10\s%/.test(await row.textContent()), 'releases, weight');

    await tab.find('button', /Need attention 1/).click();
    equal(await names(), ['shop'], 'need attention');
    await tab.find('button', /In a rollout/).click();
    equal(await names(), ['search'], 'in a rollout');
    await tab.find('button', /^All/).click();

    await tab.page.getByLabel('Search').fill('SEAR');
    equal(await names(), ['search'], 'found');
    await tab.page.getByLabel('Search').fill('nothing like that');
    equal(await names(), [], 'not found');
    await tab.sees('No endpoint is like that');
    await tab.page.getByLabel('Search').fill('');
    await tab.accessible('the overview');
    await tab.shot('overview');
    await end('search');
});


test('who answers', {}, async (tab) => {
    const { nginx, configuration } = await api('GET', 'endpoints/shop');

    for (const address of [site.api, endpoint('shop')]) {
        await tab.open(address);
        await tab.sees(`${nginx.host} · nginx ${nginx.version} · `
                       + `nginx-canary ${nginx.module} · `
                       + `configuration ${configuration.serial} of `);
    }
});


test('a rollback that was asked for, or seen, needs nobody', {},
    async (tab) => {
        await breakShop();
        await begin('search');
        await api('POST', 'endpoints/search/rollout/rollback',
                  { reason: 'not today' });

        await tab.open(endpoint('search'));
        await tab.sees(/serves all requests\. v. was rolled back/);
        check(await tab.page.locator('.alert').isHidden(), 'no alert');

        await tab.open(endpoint('shop'));
        await tab.sees(/v3 was rolled back .*: error_5xx_rate/);
        await tab.find('button', 'Mark as seen').click();
        await tab.page.locator('.alert').waitFor({ state: 'hidden' });

        await tab.open(site.api);
        await tab.find('button', /Need attention 0/).waitFor();
        await tab.find('button', 'Idle 3').waitFor();

        await breakShop();
        await tab.find('button', /Need attention 1/).waitFor();
    });


test('nothing is green without traffic', {}, async (tab) => {
    await begin('search');

    for (const address of [site.api, endpoint('search')]) {
        await tab.open(address);
        await tab.sees('no traffic');

        const colours = await tab.page.evaluate(() =>
            [...document.querySelectorAll('.badge')].map((badge) =>
                getComputedStyle(badge).backgroundColor));

        check(colours.length >= 2 && !colours.includes('rgb(226, 244, 233)'),
              `${colours}`);
    }

    await end('search');
});


test('how it went is there when the page opens', {}, async (tab) => {
    const load = new Load(site.front);
    const points = async () =>
        (await api('GET', 'endpoints/shop/history')).points;

    await begin('shop', { progress_interval_seconds: 600, bake_seconds: 60,
                          rules: [rule('error_5xx_rate', 0.1)] }, 'v2');
    await until(async () => (await points()).length >= 3, 'three points');

    await tab.open(endpoint('shop'));
    await tab.sees(/Started .* ago; v2 is stable in .* at the earliest/);

    // A line that begins before the page did.

    await tab.page.waitForFunction(() => {
        const path = document.querySelector('.plot .line.stable')
            .getAttribute('d') || '';
        const first = /^M([\d.]+)/.exec(path);
        const [minutes] = document.querySelector('.chart .axis')
            .textContent.split(' ');

        return first && (1 - (Number(first[1]) - 4) / 312) * minutes * 60000
                        > performance.now();
    });

    await load.stop();
    await breakShop();
    await tab.sees('How the rollout of v3 ended');
    await tab.sees(/request.? in all finished by v1/);

    const course = tab.page.locator('.panel',
                                    { hasText: 'How the rollout of' });

    await until(async () => /^M/.test(await course
        .locator('.line.canary').nth(1).getAttribute('d')), 'errors');
    await tab.accessible('how a rollout ended');
    await tab.shot('course');
});


test('a rollout from its start to promotion', {}, async (tab) => {
    const load = new Load(site.front);

    await end('shop');
    await tab.open(endpoint('shop'));
    await tab.phase('Idle');
    await tab.find('button', 'Start a rollout').click();

    const dialog = tab.find('dialog');

    await dialog.getByLabel('Release').selectOption('v2');
    await dialog.getByLabel('Steps', { exact: true }).fill('20% 50% 100%');
    await dialog.getByLabel('Interval').fill('3600');
    await dialog.getByLabel('Bake').fill('2');
    await dialog.getByLabel('Remove this rule').click();
    await dialog.getByRole('button', { name: 'Add a rule' }).click();
    await dialog.getByLabel('Rule', { exact: true })
        .selectOption('error_rate');
    await dialog.getByLabel('Limit').fill('25%');
    await dialog.getByLabel('More parameters')
        .fill('confidence=off min_requests=5');
    await tab.accessible('the start dialog');
    await tab.shot('start');
    await dialog.getByRole('button', { name: 'Start', exact: true }).click();

    /* however slow the browser is: it goes on when that was seen */

    await tab.phase('Progressing');
    await tab.page.locator('.steps .current', { hasText: '20 %' }).waitFor();
    await tab.page.locator('.rule.passing', { hasText: 'Errors' }).waitFor();
    await api('POST', 'endpoints/shop/rollout/advance');
    await tab.page.locator('.steps .current', { hasText: '50 %' }).waitFor();
    await until(async () => /[1-9]/.test(await tab.page
        .locator('.compare tbody tr').first().locator('td .main').last()
        .textContent()), 'attempts of the canary');
    await until(async () => (await tab.page
        .locator('.chart path.canary').first().getAttribute('d'))
        .includes('L'), 'a line of the canary');
    await tab.accessible('a rollout');
    await tab.shot('rollout');
    await api('POST', 'endpoints/shop/rollout/advance');
    await tab.page.locator('.events li', { hasText: /→ Baking/ }).waitFor();
    await tab.phase('Idle');
    await tab.sees('v2 serves all requests. v2 was promoted');

    const events = await tab.page.locator('.events li').allTextContents();

    check(/Baking 100\s% → Idle/.test(events[0]), `the last is ${events[0]}`);
    check(/Progressing 20\s% → Progressing 50\s%/.test(events.join('\n')),
          `no step in ${events}`);
    await load.stop();

    const { rules } = (await api('GET', 'endpoints/shop/events')).events[0]
        .figures;

    equal([rules[0].rule, rules[0].threshold], ['error_rate', 0.25], 'rule');
});


test('a bad one to its rollback', {}, async (tab) => {
    const load = new Load(site.front);

    await begin('shop', { rules: [rule('error_5xx_rate', 0.1)] }, 'v3');
    await tab.open(endpoint('shop'));
    await tab.phase('Idle');
    await tab.sees(/v3 was rolled back .*: error_5xx_rate/);
    await tab.page.locator('.failures td', { hasText: '500' }).first()
        .waitFor();
    await tab.page.getByText('Figures that decided').first().click();
    await tab.sees(/5xx errors: .*\s%, limit 10\s%, .*: failing/);
    await tab.accessible('a rollback');
    await tab.shot('rollback');
    await load.stop();
});


test('pause, resume, advance, roll back, promote', {}, async (tab) => {
    await begin('shop');
    await tab.open(endpoint('shop'));

    await tab.phase('Progressing');
    await confirm(tab, 'Pause', 'lunch');
    await tab.phase('Paused');
    await tab.sees('lunch');
    await confirm(tab, 'Resume');
    await tab.phase('Progressing');

    await tab.find('button', 'Advance').click();
    await tab.sees(/gets 50\s% of the traffic now, instead of 10\s%/);
    await tab.accessible('a question');
    await tab.shot('question');
    await tab.page.keyboard.press('Escape');
    equal((await api('GET', 'endpoints/shop')).weight, 0.1, 'weight');

    await confirm(tab, 'Advance');
    await tab.page.locator('.steps .current', { hasText: '50 %' }).waitFor();
    await confirm(tab, 'Roll back', 'looks odd');
    await tab.phase('Idle');
    await tab.sees('looks odd');

    const { canary } = await begin('shop');

    await tab.phase('Progressing');
    await confirm(tab, 'Promote');
    await tab.phase('Idle');
    equal((await api('GET', 'endpoints/shop')).stable, canary, 'stable');
});


test('what waits for a person is approved', {}, async (tab) => {
    const load = new Load(site.front);
    const { canary } = await begin('shop', {
        progress_interval_seconds: 0.05, progress_steps: [0.5, 1],
        bake_seconds: 0.05, approval: 'step',
    });

    await tab.open(site.api);
    await tab.sees('Waits for approval');
    await tab.open(endpoint('shop'));
    await tab.sees(/100\s% as soon as it is approved/);
    await tab.find('button', 'Approve').click();
    await tab.sees(/gets 100\s% of the traffic now, instead of 50\s%/);
    await tab.accessible('a question to approve');
    await tab.page.keyboard.press('Escape');

    await confirm(tab, 'Approve', 'looks well');
    await tab.phase('Baking');
    await tab.sees('looks well');
    await tab.sees(`${canary} becomes stable as soon as it is approved`);
    await confirm(tab, 'Approve');
    await tab.phase('Idle');
    await load.stop();

    equal((await api('GET', 'endpoints/shop')).stable, canary, 'stable');
    await begin('shop');
    await tab.phase('Progressing');
    await tab.find('button', 'Advance').waitFor();
});


test('all at once', {}, async (tab) => {
    await end('shop');

    const { stable } = await api('GET', 'endpoints/shop');
    const other = stable === 'v1' ? 'v2' : 'v1';

    await tab.open(endpoint('shop'));
    await tab.find('button', 'Start a rollout').click();
    await tab.page.getByLabel('Release').selectOption(other);
    await tab.page.getByLabel('All at once').check();
    await tab.sees(`${other} becomes the stable release at once`);
    await tab.find('dialog').getByRole('button', { name: 'Start' }).click();
    await tab.sees(`${other} serves all requests`);
});


test('what does not apply says why', {}, async (tab) => {
    await end('shop');
    await tab.open(endpoint('shop'));

    const pause = tab.find('button', 'Pause');

    await until(async () => await pause.getAttribute('aria-disabled')
        === 'true', 'Pause is disabled');
    await pause.focus();
    await tab.page.keyboard.press('Enter');
    await tab.sees('Pause: there is no rollout');
    equal(await tab.find('dialog').count(), 0, 'dialogs');
});


test('what the server refuses is shown', { expected: [/status of 400/] },
    async (tab) => {
        await end('shop');
        await tab.open(endpoint('shop'));
        await tab.find('button', 'Start a rollout').click();
        await tab.page.getByLabel('Steps', { exact: true }).fill('50% 20%');
        await tab.find('dialog').getByRole('button', { name: 'Start' })
            .click();
        await tab.find('alert').getByText('/canary_strategy/progress_steps')
            .waitFor();
        await tab.accessible('a refusal');
        await tab.shot('refused');
        equal((await api('GET', 'endpoints/shop')).phase, 'idle', 'phase');
    });


test('a page that is behind gets 412 and catches up',
    { expected: [/status of 412/] }, async (tab) => {
        const old = await begin('shop');

        await tab.page.route('**/endpoints/shop', (route) =>
            route.fulfill({ json: old }));
        await tab.open(endpoint('shop'));
        await tab.find('button', 'Advance').click();
        await api('POST', 'endpoints/shop/rollout/pause');
        await tab.find('dialog').getByRole('button', { name: 'Advance' })
            .click();
        await tab.find('alert').getByText(/If-Match/).waitFor();
        await tab.shot('stale');

        await tab.page.unroute('**/endpoints/shop');
        await tab.sees('It has changed meanwhile: paused at 10 % now');
        await tab.sees('The rollout stays paused');
        await tab.find('dialog').getByRole('button', { name: 'Advance' })
            .click();
        await tab.find('dialog').waitFor({ state: 'detached' });
        equal((await api('GET', 'endpoints/shop')).weight, 0.5, 'weight');
        await end('shop');
    });


test('a lost connection, and it comes back',
    { expected: [/ERR_INTERNET_DISCONNECTED/] }, async (tab) => {
        await tab.open(endpoint('shop'));
        await tab.phase('Idle');
        await tab.context.setOffline(true);
        await tab.find('alert').getByText(/Connection lost: .*from \d\d:/)
            .waitFor();
        await tab.accessible('a lost connection');
        await tab.shot('lost');
        await tab.context.setOffline(false);
        await tab.page.locator('.live', { hasText: /^Live$/ }).waitFor();
        equal(await tab.page.getByText('Connection lost').count(), 1,
              'banners, hidden');
        check(await tab.page.getByText('Connection lost').isHidden(),
              'the banner is gone');
    });


test('a control loop that hangs', {}, async (tab) => {
    await tab.open(site.api);
    await tab.sees('Live');
    process.kill(site.helper, 'SIGSTOP');

    try {
        await tab.sees(/control loop of this nginx last worked .* ago/);
    } finally {
        process.kill(site.helper, 'SIGCONT');
    }

    await until(() => tab.page.getByText('control loop of this nginx')
        .isHidden(), 'it works again');
});


test('a location that can only be read', {}, async (tab) => {
    await tab.open(`${site.readOnly}#/endpoint/shop`);
    await tab.sees('This location can only be read');

    const start = tab.find('button', 'Start a rollout');

    await until(async () => /write=on/.test(await start.getAttribute('title')),
                'the reason');
    await start.click({ force: true });
    equal(await tab.find('dialog').count(), 0, 'dialogs');
    await tab.accessible('a read-only page');
});


test('tokens: asked for once, kept for the tab',
    { expected: [/status of 401/] }, async (tab) => {
        await tab.open(site.token);

        const token = tab.page.locator('input[type=password]');

        await token.fill('wrong');
        await tab.find('button', 'Use it').click();
        await tab.sees('The token was not accepted');
        await tab.accessible('the question for a token');
        await token.fill('secret');
        await tab.find('button', 'Use it').click();
        await tab.find('link', 'shop').click();
        await tab.phase('Idle');
        equal(await tab.find('dialog').count(), 0, 'questions');

        await begin('shop');
        await tab.phase('Progressing');
        await confirm(tab, 'Roll back');
        await tab.phase('Idle');

        await tab.page.reload();
        await tab.phase('Idle');
        equal(await tab.find('dialog').count(), 0, 'questions after a reload');

        const other = await tab.context.newPage();

        await other.goto(site.token);
        await other.locator('input[type=password]').waitFor();
    });


test('events come as they happen', {}, async (tab) => {
    const streams = [];
    const server = http.createServer((request, response) => {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(': hello\n\n');
        streams.push(response);
    });

    await new Promise((resolve) =>
        server.listen(site.streamPort, '127.0.0.1', resolve));

    // An index that has the stream, whatever this version of the API has, and
    // one list only: what comes after that comes by the stream.

    await tab.page.route(site.stream, async (route) => {
        if (route.request().resourceType() === 'document') {
            return route.continue();
        }

        const response = await route.fetch();
        const json = await response.json();

        json.paths.push({ path: 'events', methods: ['GET'] });

        return route.fulfill({ response, json });
    });

    let list = null;

    await tab.page.route(`${site.stream}endpoints`, async (route) => {
        list = list || await (await route.fetch()).json();

        return route.fulfill({ json: list });
    });

    await end('search');
    await tab.open(site.stream);
    await until(() => streams.length === 1, 'the page listens');

    const row = tab.find('row', /^search/);
    const phase = row.locator('.badge').first();

    await tab.page.route(`${site.stream}endpoints`, () => {});
    equal(await phase.textContent(), 'Idle', 'phase');
    await begin('search');
    streams[0].write('id: 7\ndata: {"id": 7,\r\ndata: "endpoint": '
                     + '"search"}\n\n');
    await until(async () => await phase.textContent() === 'Progressing',
                'the event');
    await end('search');

    streams[0].end();
    await until(() => streams.length === 2, 'it listens again');
    streams[1].destroy();
    server.close();
    server.closeAllConnections();
});


test('a thousand endpoints', {}, async (tab) => {
    await tab.open(site.many);
    await tab.find('button', 'All 1,000').waitFor();
    equal(await tab.page.locator('.endpoints tbody tr').count(), 1000, 'rows');

    // What did not change is not drawn again.

    await tab.page.evaluate(() => {
        window.changes = 0;
        new MutationObserver((list) => { window.changes += list.length; })
            .observe(document.querySelector('tbody'), {
                attributes: true, characterData: true, childList: true,
                subtree: true,
            });
    });

    const lists = () => tab.requests.filter((request) =>
        request.url().endsWith('/endpoints')).length;
    const before = lists();

    // As when one comes back to the tab. The next time it asks, what came
    // before has been drawn.

    for (const more of [1, 2]) {
        await tab.page.evaluate(() =>
            document.dispatchEvent(new Event('visibilitychange')));
        await until(() => lists() === before + more, 'it asks again');
        await tab.requests.at(-1).response().then((one) => one.finished());
    }

    equal(await tab.page.evaluate(() => window.changes), 0, 'changes');

    await tab.page.getByLabel('Search').fill('service-999');
    equal(await tab.page.locator('.endpoints tbody tr').count(), 1, 'found');
    await tab.shot('thousand');
});


test('a phone', { context: phone }, async (tab) => {
    await begin('shop', { rules: [rule('error_5xx_rate', 0.1),
                                  rule('latency_p99_max', 250)] });
    await tab.open(site.api);
    await tab.sees('Progressing');
    await tab.fits();
    await tab.accessible('the overview on a phone');
    await tab.shot('phone-overview');

    await tab.find('link', 'shop').click();
    await tab.phase('Progressing');
    await tab.fits();
    await tab.accessible('an endpoint on a phone');
    await tab.shot('phone-rollout');

    await end('shop');
    await tab.phase('Idle');
    await tab.find('button', 'Start a rollout').click();
    await tab.fits();
    await tab.shot('phone-start');
});


test('in the dark', { context: { colorScheme: 'dark' } }, async (tab) => {
    const load = new Load(site.front);

    await begin('shop', { rules: [rule('error_5xx_rate', 0.1)] });
    await tab.open(site.api);
    await tab.sees('Progressing');
    equal(await tab.page.evaluate(() =>
        getComputedStyle(document.body).backgroundColor),
        'rgb(16, 20, 24)', 'background');
    await tab.accessible('the overview in the dark');
    await tab.find('link', 'shop').click();
    await tab.phase('Progressing');
    await tab.page.locator('.rule').waitFor();
    await tab.accessible('a rollout in the dark');
    await tab.shot('dark-rollout');
    await tab.find('button', 'Roll back').click();
    await tab.accessible('a question in the dark');
    await tab.shot('dark-question');
    await load.stop();
    await end('shop');
});


test('by the keyboard alone', {}, async (tab) => {
    const { keyboard } = tab.page;
    const focused = () => tab.page.evaluate(() =>
        document.activeElement.textContent.trim());
    const tabTo = async (text) => {
        for (let i = 0; i < 30 && await focused() !== text; i++) {
            await keyboard.press('Tab');
        }

        equal(await focused(), text, 'focus');
    };

    await begin('shop');
    await tab.open(site.api);
    await tab.find('link', 'shop').waitFor();
    await keyboard.press('Tab');
    equal(await focused(), 'Skip to the content', 'first');
    await tabTo('shop');
    await keyboard.press('Enter');
    await tab.phase('Progressing');
    await tabTo('Roll back');
    await keyboard.press('Enter');
    await tab.find('dialog').waitFor();
    await tab.page.getByLabel('Reason').focus();
    await keyboard.type('by keyboard');
    await keyboard.press('Enter');
    await tab.find('dialog').waitFor({ state: 'detached' });
    await tab.phase('Idle');
    equal(await focused(), 'Roll back', 'focus is back');
});


test('names are text, whatever is in them', {}, async (tab) => {
    const name = '<img src=x onerror=alert(1)> & "co"';

    await tab.open(site.api);
    await tab.find('link', name).click();
    await tab.phase('Idle');
    equal(await tab.page.locator('h1').textContent(), name, 'heading');
});


// The one that is asked is "a"; the helper of "b" has its connection.

if (site.fleet) {
    test('a fleet', {}, async (tab) => {
        const strip = tab.page.getByRole('group', { name: 'Fleet' });
        const shown = (text) => strip.getByText(text).waitFor();
        const red = () =>
            strip.evaluate((node) => node.classList.contains('bad'));

        await tab.open(site.fleet);
        await shown(/^a \(this one\): (leader|live)$/);
        await shown(/^b: (leader|live)$/);
        await tab.accessible('a fleet');
        await tab.shot('fleet');

        process.kill(site.fleetHelper, 'SIGSTOP');
        await shown(/^b: silent for /);
        await shown(/^b: gone for /);
        await tab.accessible('a fleet with a node that is gone');

        process.kill(site.fleetRedis, 'SIGSTOP');
        await shown(/^a does not reach the fleet/);
        await shown('a (this one): isolated');
        check(await red(), 'red');
        await tab.accessible('an isolated node');
        await tab.shot('fleet-isolated');
        process.kill(site.fleetRedis, 'SIGCONT');
        process.kill(site.fleetHelper, 'SIGCONT');
        await shown(/^b: (leader|live)$/);
        await until(async () => !await red(), 'in touch again');
    });
}


test('no fleet, no strip of it', {}, async (tab) => {
    await tab.open(site.api);
    await tab.sees('shop');
    equal(await tab.page.locator('.fleet').isVisible(), false, 'visible');
});


main();
