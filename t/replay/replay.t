#!/usr/bin/perl

# canary-replay: a log in, and out comes what the rules would have done. The
# logs are made here, but for one, which nginx itself writes.

use v5.36;

use File::Temp;
use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP;
use List::Util qw(max);
use Test::More;

use Canary::Test;

use constant {
    BEGAN => 1_763_859_600,
    RATE  => 100,
};

my $program = $ENV{TEST_CANARY_REPLAY}
    || "$FindBin::Bin/../../build/canary-replay";
my $dir = File::Temp->newdir;
my $json = JSON::PP->new->canonical;

-x $program or BAIL_OUT("$program is missing: run make build");
needs('speed');

my @five_percent = (rule(error_5xx_rate => 0.05));


subtest 'a healthy canary is promoted' => sub {
    my $run = replay([traffic(60)], strategy(@five_percent));

    is($run->{status}, 0, 'exit status');
    is($run->{summary}{result}, 'promoted');
    is_deeply([map { [$_->{phase}, $_->{weight}] } $run->{events}->@*],
        [['progressing', 0.2], ['progressing', 0.4], ['progressing', 0.6],
         ['progressing', 0.8], ['baking', 1], ['idle', 0]],
        'step by step');
    is_deeply([map { seconds($_) } $run->{events}->@*], [0, 10, 20, 30, 40,
        seconds($run->{events}[-1])], 'each after an interval');
    cmp_ok(seconds($run->{events}[-1]), '<', 45, 'and then at once');
    is($run->{events}[1]{by}, 'controller');
    like($run->{events}[1]{reason}, qr/^every rule passed after 200 attempts$/);
};

subtest 'whoever approves a step does so at once' => sub {
    my $run = replay([traffic(60)],
                     strategy(@five_percent, approval => 'step'));

    is($run->{status}, 0, 'exit status');
    is($run->{summary}{result}, 'promoted', 'nobody is waited for');
    is(seconds($run->{events}[1]), 10, 'the first step is when it is due');
};

subtest 'slow answers need patience' => sub {
    my @lines = traffic(160, sub ($line, $at) {
        @$line{qw(header_time duration)} = ('20.000', '20.000');
    }, 'both');
    my @weights = map {
        my $run = replay(\@lines, strategy(@five_percent, @$_));
        [map { $_->{weight} } $run->{events}->@*];
    } [], [patience_seconds => 60];

    cmp_ok(scalar $weights[0]->@*, '<=', 2, 'what takes 20 s is held up');
    is_deeply($weights[1], [0.2, 0.4, 0.6, 0.8, 1, 0], 'or not');
};

subtest 'one that hangs in part is not let through by its quick half' => sub {
    my $n = 0;
    my $run = replay([traffic(60, sub ($line, $at) {
        @$line{qw(status header_time duration)} = (499, '-', '80.000')
            if $n++ % 4 < 2;
    })], strategy(@five_percent));

    my (undef, @steps) = map { seconds($_) } $run->{events}->@*;
    is(scalar(grep { $_ < 80 } @steps), 0, 'no step until they are gone');
};

subtest 'one that dies after 25 s is rolled back' => sub {
    my $run = replay([traffic(60, sub ($line, $at) {
        @$line{qw(status header_time)} = (502, '-') if $at >= 25;
    })], strategy(@five_percent));

    is($run->{status}, 3, 'exit status');
    is($run->{summary}{result}, 'rolled_back');

    my $last = $run->{events}[-1];
    is($last->{rule}, 'error_5xx_rate');
    is($last->{threshold}, 0.05);
    cmp_ok($last->{value}, '>', 0.05);
    like($last->{reason}, qr/^error_5xx_rate 0\.\d+ > 0\.05 after \d+ attempts$/);
    is_deeply([@$last{qw(phase weight)}], ['idle', 0]);
    cmp_ok(seconds($last), '>=', 25);
    cmp_ok(seconds($last), '<', 27, 'within two seconds');

    my $rule = $run->{summary}{rules}[0];
    is($rule->{verdict}, 'failing', 'the summary has the verdict');
    is($rule->{bad}, $run->{summary}{canary}{failed}, 'and the bad attempts');
    cmp_ok($rule->{bounds}[0], '<', $rule->{value}, 'and bounds');
    cmp_ok($rule->{bounds}[1], '>', $rule->{value}, 'on both sides');
};

subtest 'one that becomes slow' => sub {
    my $run = replay([traffic(60, sub ($line, $at) {
        @$line{qw(header_time duration)} = ('0.900', '0.900') if $at >= 15;
    })], strategy(rule(latency_p90_max => 250)));

    is($run->{status}, 3, 'is rolled back');
    is($run->{events}[-1]{rule}, 'latency_p90_max');
    cmp_ok(seconds($run->{events}[-1]), '>', 15);
    cmp_ok(seconds($run->{events}[-1]), '<', 25);
};

subtest 'no statistics: the attempt that breaks the rule' => sub {
    my @strategy = strategy(rule(error_5xx_rate => 0.1, confidence => 'off',
                                 min_requests => 10));
    my $run = replay([traffic(20, sub ($line, $at) {
        $line->{status} = 500;
    })], @strategy);

    is($run->{status}, 3);
    is($run->{summary}{canary}{attempts}, 10, 'is the tenth');
    is($run->{summary}{canary}{'5xx'}, 10);
    is(seconds($run->{events}[-1]), 0.46,
        'and falls when its header came: 45 requests and 10 ms after');
};

subtest 'halt' => sub {
    my $run = replay([traffic(20, sub ($line, $at) {
        $line->{status} = 500;
    })], strategy(@five_percent, on_violation => 'halt'));

    is($run->{status}, 3, 'exit status');
    is($run->{summary}{result}, 'halted');
    is_deeply([@{ $run->{events}[-1] }{qw(phase weight)}], ['halted', 0.2]);
};

subtest 'a log that ends before' => sub {
    my $run = replay([traffic(20.5)], strategy(@five_percent));

    is($run->{status}, 0);
    is($run->{summary}{result}, 'running');
    is($run->{events}[-1]{weight}, 0.6, 'tells how far it came');
    is($run->{summary}{rules}[0]{verdict}, 'undecided',
        'and what the rules say of the step');
};

subtest 'an outage of both' => sub {
    my $run = replay([traffic(30, sub ($line, $at) {
        $line->{status} = 500 if $at >= 12 && $at < 15;
    }, 'both')], strategy(@five_percent));

    is($run->{status}, 0, 'condemns nobody');
    my @holding = grep { $_->{reason} =~ /^holding: / } $run->{events}->@*;
    is(scalar @holding, 1, 'but holds the rollout');
    like($holding[0]{reason}, qr/, but stable breaks it too with /);
};

# The canary is slow to fail then, and stable quick: times that would be held
# against it in comparison.

subtest 'times of an outage of both' => sub {
    my $run = replay([traffic(90, sub ($line, $at) {
        return if $at < 5 || $at >= 15;
        my $time = $line->{release} eq 'v2' ? '0.400' : '0.010';
        @$line{qw(status header_time duration)} = (500, $time, $time);
    }, 'both')], strategy(@five_percent, rule(latency_p50_max => 2,
        baseline => 'stable', confidence => 'off', min_requests => 10)));

    is($run->{summary}{result}, 'promoted', 'do not count in the step');
    is(scalar(grep { $_->{reason} =~ /^holding: / } $run->{events}->@*), 1,
        'that a hold is in');
};

subtest 'formats' => sub {
    my @lines = traffic(40, sub ($line, $at) { $line->{status} = 500 if $at > 31 });
    my @strategy = strategy(@five_percent);
    my $expected = replay(\@lines, @strategy);

    is($expected->{summary}{result}, 'rolled_back');

    my @objects = map { { $_->%* } } @lines;
    is_same(replay([map { $json->encode($_) . "\n" } @objects], @strategy),
        $expected, 'JSON, all values text');

    for my $object (@objects) {
        $object->{$_} += 0 for qw(time status header_time duration);
        $object->{more} = { of => 'the same' };
    }
    is_same(replay([map { $json->encode($_) . "\n" } @objects], @strategy),
        $expected, 'JSON, numbers');

    for my $object (@objects) {
        my $time = $object->{time};
        my ($s, $min, $h, $d, $m, $y) = gmtime(int($time) + 3600);
        $object->{time} = sprintf '%04d-%02d-%02dT%02d:%02d:%02d.%03d+01:00',
            $y + 1900, $m + 1, $d, $h, $min, $s, 1000 * ($time - int $time) + 0.5;
    }
    is_same(replay([map { $json->encode($_) . "\n" } @objects], @strategy),
        $expected, 'JSON, RFC 3339');

    is_same(replay(\@lines, @strategy, '--format', 'log'), $expected,
        'the format may be said');
    is(replay(\@lines, @strategy, '--format', 'json')->{status}, 1,
        'and then it is the only one');

    my @crlf = map { text($_) =~ s/\n/\r\n/r } @lines;
    is_same(replay(\@crlf, @strategy), $expected, 'CR LF');

    my @extended = map {
        qq(host=a.example uri="/a b?release=v9" ) . text($_)
    } @lines;
    is_same(replay(\@extended, @strategy), $expected, 'more fields');
};

subtest 'lines in another order' => sub {
    my @lines = traffic(40, sub ($line, $at) { $line->{status} = 500 if $at > 31 });
    my @strategy = strategy(@five_percent);
    my $expected = replay(\@lines, @strategy);

    my @mixed = map { reverse @$_ } chunks(200, @lines);
    is_same(replay(\@mixed, @strategy), $expected,
        'count as they began');

    # A line is written at the end of its request.
    my @slow = sort { $a->{time} <=> $b->{time} } map {
        my %line = (%$_, time => $_->{time} + 5 * ($_->{release} eq 'v2'),
            duration => $_->{duration} + 5 * ($_->{release} eq 'v2'));
        \%line
    } @lines;
    is_same(replay(\@slow, @strategy), $expected,
        'also if some took long to end');
};

subtest 'attempts of one request' => sub {
    my @rows = (
        ['one', {}, [1, 0, 0, 0, 0], 0],
        ['4xx', { status => 404 }, [1, 1, 0, 0, 0], 0],
        ['retried in the release', lists('502, 500 : 200', '-, 0.1 : 0.1', '0.2, 0.1 : 0.1'),
         [3, 0, 1, 1, 0], 0],
        ['timed out', lists('504', '-', '60.001'), [1, 0, 0, 1, 0], 0],
        ['answered 504', lists('504', '0.1', '0.1'), [1, 0, 1, 0, 0], 0],
        ['client left', lists('-', '-', '1.5'), [0, 0, 0, 0, 1], 0],
        ['client left, 499', lists('499', '-', '1.5'), [0, 0, 0, 0, 1], 0],
        ['in words', lists('failed, timeout, aborted', '-, -, -', '0, 1, 1'),
         [2, 0, 0, 2, 1], 0],
        ['finished by stable',
         { lists('502, 200', '-, 0.1', '0.2, 0.1')->%*, release => 'v1', reason => 'fallback' },
         [1, 0, 0, 1, 0], 1],
        ['finished by stable, 500 first',
         { lists('500, 502, 200', '0.1, -, 0.1', '0.1, 0.2, 0.1')->%*,
           release => 'v1', reason => 'fallback' },
         [1, 0, 1, 0, 0], 2],
        ['no live canary', { release => 'v1', reason => 'fallback' }, [0, 0, 0, 0, 0], 1],
        ['no live stable', { release => 'v2', reason => 'fallback' }, [0, 0, 0, 0, 0], 1],
        ['by key', { reason => 'key' }, [1, 0, 0, 0, 0], 0],
        ['forced', { reason => 'force' }, [0, 0, 0, 0, 0], 1],
        ['another release', { release => 'v3' }, [0, 0, 0, 0, 0], 1],
    );

    for my $row (@rows) {
        my ($name, $fields, $expected, $others) = @$row;
        my $run = replay([line(BEGAN, 'v2'), line(BEGAN, 'v1'),
            line(BEGAN + 100, 'v2', %$fields)], strategy(rule(error_rate => 1)));

        $expected->[0]++;    # the one that begins it
        is_deeply([@{ $run->{summary}{canary} }{qw(attempts 4xx 5xx failed aborted)}],
            $expected, "$name: attempts, 4xx, 5xx, failed, aborted");
        is($run->{summary}{no_evidence}, $others, '... and what is no evidence');
        is($run->{summary}{stable}{failed}, 0, '... and stable');
    }

    my $run = replay([line(BEGAN, 'v2'), line(BEGAN, 'v1'),
        line(BEGAN + 1, 'v2', lists('-', '-', '-')->%*),
        line(BEGAN + 1, '')], strategy(@five_percent));
    is($run->{summary}{without_attempt}, 2, 'requests without one are counted');
};

subtest 'the end of the response' => sub {
    my @lines = traffic(20, sub ($line, $at) { $line->{duration} = '2.500' });
    my @strategy = strategy(rule(latency_avg_max => 1000, confidence => 'off'));

    is(replay(\@lines, @strategy)->{status}, 0, 'does not matter by default');

    my $run = replay(\@lines, @strategy, '--latency', 'response');
    is($run->{status}, 3, 'but does if it is asked for');
    is($run->{events}[-1]{value}, 2500);
};

subtest 'answers of a match' => sub {
    my @strategy = strategy(rule(match_rate => 0.1, match => 'redirects'),
                            rule(match_rate => 0.1, match => 'empty'));
    my $matched = sub ($line, $at) {
        $line->{duration} = '0.500';
        $line->{match_redirects} = int($at * 20 + 0.5) % 2;
        $line->{match_empty} = '-';
        $line->{match_other} = 1;
    };

    my $run = replay([traffic(20, $matched)], @strategy);
    is($run->{status}, 3, 'those of a log that tells of them');
    like($run->{events}[-1]{reason},
         qr/^match_rate of redirects 0\.\d+ > 0\.1 /, 'by name');
    is($run->{events}[-1]{match}, 'redirects');
    is_deeply([map { $_->{match} } $run->{summary}{rules}->@*],
              [qw(redirects empty)], 'as of all rules');
    is($run->{summary}{rules}[1]{value}, 0, 'and nothing is one of none');

    is(replay([traffic(20, $matched)], @strategy, '--latency', 'response')
       ->{status}, 3, 'at the end of the response too');
    is(replay([traffic(60)], @strategy)->{status}, 0,
       'without the field there is none');
};

subtest 'clients that leave' => sub {
    my @strategy = strategy(rule(abandoned_rate => 0.1));

    my $run = replay([traffic(20, sub ($line, $at) {
        @$line{qw(duration abandoned)} = ('2.500', 1);
    })], @strategy);
    is($run->{status}, 3, 'those of a log that tells of them');
    like($run->{events}[-1]{reason}, qr/^abandoned_rate 0\.\d+ > 0\.1 /);
    cmp_ok(seconds($run->{events}[-1]), '>', 2.5, 'but not before they leave');

    $run = replay([traffic(60, sub ($line, $at) {
        @$line{qw(status abandoned)} = ('aborted', 1);
    })], @strategy);
    is($run->{status}, 3, 'those that leave before the header too');

    $run = replay([traffic(60, sub ($line, $at) { $line->{abandoned} = 0 })],
                  @strategy);
    is($run->{status}, 0, 'who stays does no harm');
};

subtest 'one of two endpoints' => sub {
    my @lines = (traffic(20, sub ($line, $at) {
        $line->{endpoint} = 'other';
        $line->{status} = 500 if $line->{release} eq 'v2';
    }, 'both'), traffic(20));

    @lines = sort { $a->{time} <=> $b->{time} } @lines;

    is(replay(\@lines, strategy(@five_percent))->{status}, 3, 'without a name both count');
    is(replay(\@lines, strategy(@five_percent), '--endpoint', 'ep')->{status}, 0, 'the good one');
    is(replay(\@lines, strategy(@five_percent), '--endpoint', 'other')->{status}, 3, 'the bad one');
};

subtest 'the weights of the log' => sub {
    my @lines = traffic(60);
    $_->{weight} = $_->{time} < BEGAN + 5 ? 0 : $_->{time} < BEGAN + 12 ? 0.01
        : $_->{time} < BEGAN + 30 ? 0.25 : 1 for @lines;

    # What was chosen before a change may begin after it.
    $lines[1203]{weight} = 0.01;

    my $run = replay(\@lines, strategy(@five_percent), '--weight-from-log');

    is($run->{status}, 0);
    is_deeply([map { [$_->{weight}, int seconds($_, BEGAN)] } $run->{events}->@*],
        [[0.2, 4], [0.01, 4], [0.25, 11], [1, 29]], 'are the steps')
        or diag(explain($run->{events}));
    is($run->{summary}{result}, 'running', 'and nothing else is');
    cmp_ok($run->{summary}{no_evidence}, '>=', 499, 'what came before is no evidence');

    is(replay([traffic(5)], strategy(@five_percent), '--weight-from-log')->{status}, 1,
        'a log without weights');
};

subtest 'gaps' => sub {
    my @lines = traffic(15);
    push @lines, map { { %$_, time => sprintf '%.3f', $_->{time} + 3 * 86400 } } traffic(15);
    push @lines, line(4_102_444_799, 'v2');

    my $run = replay(\@lines, strategy(@five_percent));
    is($run->{status}, 0);
    cmp_ok($run->{took}, '<', 20, 'of days and years take no time');
    is_deeply([map { int seconds($_) } @{ $run->{events} }[0, 1]], [0, 10]);
    is($run->{events}[2]{weight}, 0.6, 'and an interval ends in them');
    is(int seconds($run->{events}[2]), 20);

    $run = replay(\@lines, strategy(rule(error_5xx_rate => 0.05,
        confidence => 'off', window_seconds => 3600)));
    is($run->{status}, 0, 'also with a window');
};

subtest 'bad lines' => sub {
    my @lines = traffic(20);
    my @bad = (
        ['time=x release=v2 status=200 duration=0.1', 'needs a time'],
        ['time=9999999999999 release=v2 status=200 duration=0.1', 'needs a time'],
        ['time=-1 release=v2 status=200 duration=0.1', 'needs a time'],
        ['time=2026-02-30T00:00 release=v2 status=200 duration=0.1', 'needs a time'],
        ['release=v2 status=200 duration=0.1', 'needs a time'],
        ['time=1 status=200 duration=0.1', 'needs a release'],
        ['time=1 release=v2 duration=0.1', 'needs a status and a duration'],
        ['time=1 release=v2 status=99 duration=0.1', 'has a status that'],
        ['time=1 release=v2 status=2000 duration=0.1', 'has a status that'],
        ['time=1 release=v2 status="200 200" duration=0.1', 'has a status that'],
        ['time=1 release=v2 status=200 duration=-1', 'has a duration that'],
        ['time=1 release=v2 status=200 duration=86401', 'has a duration that'],
        ['time=1 release=v2 status=200 duration=1 header_time=x', 'has a header_time that'],
        ['time=1 release=v2 status=200 duration=1 request_time=x', 'has a request_time that'],
        ['time=1 release=v2 status="200, 200" duration=0.1', 'has lists'],
        ['time=1 release=v2 status="' . join(',', (200) x 33) . '" duration="'
         . join(',', (1) x 33) . '"', 'has more than 32 attempts'],
        ['time=1 release=v2 reason=luck status=200 duration=1', 'has a reason that'],
        ['time=1 release=v2 weight=2 status=200 duration=1', 'has a weight that'],
        ['time=1 release=v2 abandoned=yes status=200 duration=1', 'has an abandoned that'],
        ['time=1 time=1 release=v2 status=200 duration=1', 'has a field twice'],
        ['time=1 release="v2 status=200 duration=1', 'has a quote'],
        ['time=1 release="v2"x status=200 duration=1', 'has a quote'],
        ['127.0.0.1 - - "GET / HTTP/1.1" 200 5', 'has to be a list of'],
        ["time=1 release=" . 'v' x 300 . ' status=200 duration=1', 'has a release whose'],
        ["time=1\0release=v2", 'has a zero byte'],
        ['{"time": 1', 'is no JSON'],
        ['{"time": 1, "release": ["v2"]}', 'has a field that is neither'],
        ['{"time": 1, "time": 1}', 'has a field twice'],
        ['x' x 70_000, 'is longer than'],
    );

    for my $row (@bad) {
        my ($text, $error) = @$row;
        my $run = replay([@lines[0 .. 9], "$text\n", @lines[10 .. $#lines]],
            strategy(@five_percent));

        is($run->{status}, 0, "$error: is not fatal");
        is($run->{summary}{bad_lines}, 1, '... is counted');
        like($run->{errors}, qr/^canary-replay: line 11 \Q$error\E/, '... and told')
            or diag(substr $text, 0, 100);
    }

    my $run = replay([@lines, ("x\n") x 1000], strategy(@five_percent));
    is($run->{status}, 0, 'a thousand of them');
    is(scalar(() = $run->{errors} =~ /^canary-replay: line /mg), 10, 'the first ten are told');

    $run = replay([@lines, ("x\n") x 1001], strategy(@five_percent));
    is($run->{status}, 1, 'are enough');
    like($run->{errors}, qr/is this the right log\?$/);

    $run = replay([@lines[0 .. 9], text($lines[10]) =~ s/\n//r], strategy(@five_percent));
    is($run->{summary}{lines}, 11, 'the last line needs no end');
};

subtest 'what cannot be replayed' => sub {
    my @lines = traffic(5);

    for my $row (
        ['nothing', [], 'the log is empty'],
        ['other releases', [map { { %$_, release => 'v8' } } @lines],
         'the log has no release "v1", it has "v8"'],
        ['another canary', [map { { %$_, release => $_->{release} =~ s/v2/v8/r } } @lines],
         'the log has no release "v2", it has "v8", "v1"'],
        ['another stable', [map { { %$_, release => $_->{release} =~ s/v1/v8/r } } @lines],
         'the log has no release "v1", it has "v2", "v8"'],
        ['another canary, and requests that went on to stable',
         [map { { %$_, release => $_->{release} =~ s/v2/v8/r } } @lines,
          map { line(BEGAN + $_, 'v1', reason => 'fallback',
                     lists('500, 200', '0.001, 0.001', '0.001, 0.001')->%*) } 1 .. 5],
         'the log has no release "v2", it has "v8", "v1"'],
        ['seventeen others',
         [map { line(BEGAN + $_, "r$_"), line(BEGAN + $_, 'v1') } 1 .. 17],
         'no attempt on v2 in 34 lines'],
        ['no attempt of it', [map { { %$_, $_->{release} eq 'v2' ? (status => '-', duration => '-',
             header_time => '-') : () } } @lines], 'no attempt on v2 in 500 lines'],
    ) {
        my ($name, $log, $error) = @$row;
        my $run = replay($log, strategy(@five_percent));
        is($run->{status}, 1, $name);
        like($run->{errors}, qr/^canary-replay: \Q$error\E/);
    }

    my $elsewhere = replay(\@lines, strategy(@five_percent), '--endpoint', 'eq');
    is($elsewhere->{status}, 1, 'another endpoint');
    like($elsewhere->{errors}, qr/: the log has no endpoint "eq", it has "ep"\n/);

    for my $row (
        ['{', qr/strategy.json: /],
        ['{"canary_strategy": {"progress_step": 2}}', qr{/canary_strategy/progress_step }],
        ['{"release": "v2"}', qr{/release }],
        ['{}', qr/needs at least one rule/],
        ['{"strategy": "direct"}', qr/has nothing to replay/],
        [$json->encode({ canary_strategy => { progress_steps => [1],
            rules => [rule(error_rate => 0.1, baseline => 'stable')] } }),
         qr/needs a rule without a baseline/],
        [' ' x 70_000, qr/is too long/],
    ) {
        my ($text, $error) = @$row;
        my $run = replay(\@lines, $text);
        is($run->{status}, 1, 'a strategy that is none');
        like($run->{errors}, $error);
        is($run->{output}, '', 'nothing is printed');
    }

    for my $arguments (
        [], ['--canary', 'v2'], ['--stable', 'v1', '--canary', 'v1', '--strategy', 'x'],
        ['--stable', 'v1', '--canary', 'v2'], ['--none'], ['--format', 'xml'],
        ['--latency', 'body'], ['--stable', 'v1', '--canary', 'v2', '--strategy', 'x', 'a', 'b'],
    ) {
        my ($status, undef, $errors) = run('', @$arguments);
        is($status, 2, "usage: @$arguments");
        like($errors, qr/Try canary-replay --help/);
    }

    for my $arguments (['--strategy', "$dir/none"], ['--strategy', "$dir/strategy.json", "$dir/none"]) {
        spew('strategy.json', strategy(@five_percent));
        my ($status, undef, $errors) = run('', '--stable', 'v1', '--canary', 'v2', @$arguments);
        is($status, 1, 'a file that is not there');
        like($errors, qr{/none: No such file});
    }

    my ($status, $output) = run('', '--help');
    is($status, 0, '--help');
    like($output, qr/^usage: canary-replay /);

    spew('strategy.json', strategy(@five_percent));
    spew('log', join '', map { text($_) } traffic(5));
    ($status, my $nothing, my $errors) = run('', '--stable', 'v1', '--canary', 'v2',
        '--strategy', "$dir/strategy.json", "$dir/log", '>/dev/full');
    is($status, 1, 'a full disk');
    like($errors, qr/cannot be written/);
};

subtest 'the clock begins with the canary' => sub {
    my @before = map { line(BEGAN - 3600 + 60 * $_, 'v1', status => 500) } 0 .. 59;
    my $run = replay([@before, traffic(60)], strategy(@five_percent));
    my $without = replay([traffic(60)], strategy(@five_percent));

    is_same($run, $without, 'what stable did before is of no account');
    is($run->{summary}{stable}{'5xx'}, 0);
    is(seconds($run->{events}[0]), 0, 'it starts with the first attempt of v2');

    my @late = traffic(60);
    my @sorted = sort { $a->{time} <=> $b->{time} }
        (map { line(BEGAN - 600 + $_, 'v1') } 0 .. 599), @late;
    is_same(replay(\@sorted, strategy(@five_percent)), $without, 'nor when it was well');
};

subtest 'requests outside of the rollout' => sub {
    my $run = replay([map { my $line = $_; ($line, { %$line, release => 'v1',
            reason => 'only', status => 500 }) } traffic(60)],
        strategy(rule(error_5xx_rate => 0.05, baseline => 'stable'),
                 rule(failed_requests_max => 0)));

    is($run->{status}, 0, 'they are no evidence');
    is($run->{summary}{stable}{'5xx'}, 0);
    is($run->{summary}{bad_lines}, 0);
};

subtest 'for people' => sub {
    spew('strategy.json', strategy(@five_percent, rule(latency_avg_max => 100)));
    spew('log', join '', map { text($_) } traffic(60, sub ($line, $at) {
        $line->{status} = 500 if $at >= 25;
    }));

    my ($status, $output) = run('', '--stable', 'v1', '--canary', 'v2',
        '--strategy', "$dir/strategy.json", "$dir/log");

    is($status, 3);
    like($output, qr/^TIME +PHASE +WEIGHT +BY +REASON\n2025-11-23T01:00:00\.000Z  progressing      20%  replay/);
    like($output, qr/^\S+Z  idle              0%  error_5xx_rate       error_5xx_rate 0\.\d+ > 0\.05 after \d+ attempts$/m);
    like($output, qr/^v2: rolled back after 25\.\d+ s$/m);
    like($output, qr/^canary   v2 +\d+ +0 +\d+ +0 +0$/m);
    like($output, qr/^error_5xx_rate +0\.05 +0\.\d+ +0\.\d+ to 0\.\d+ +\d+ +\d+  failing$/m);
    like($output, qr/^latency_avg_max +100ms +10ms .* -  passing$/m);
};

# One step that never passes, an attempt in each cohort of 100 ms, and then
# all of them fail. TEST_CANARY_LONG=1: seven million lines.

subtest 'a canary that dies after very long' => sub {
    my $hours = $ENV{TEST_CANARY_LONG} ? 8 * 24 : 2;
    my $good = $hours * 36_000;

    spew('strategy.json', strategy(rule(error_5xx_rate => 0.1),
        rule(error_4xx_rate => 0.5, min_requests => 1e9)));

    my $run = stream(sub ($out) {
        my $line = text(line(0, 'v2', time => 'TIME'));
        my ($from, $to) = split /TIME/, $line;

        for my $n (0 .. $good + 600) {
            $from =~ s/"200"/"502"/ if $n == $good;
            printf $out '%s%.3f%s', $from, BEGAN + $n / 10 + 0.01, $to;
        }
    });

    is($run->{status}, 3, "is rolled back after $hours good hours");
    is($run->{events}[-1]{rule}, 'error_5xx_rate');
    is($run->{events}->@*, 2, 'from its first step');
    like($run->{events}[-1]{reason},
        qr/^error_5xx_rate > 0\.1 of late: \d\d of \d+ attempts were bad$/);
    cmp_ok($run->{summary}{canary}{attempts}, '>', $good);
    cmp_ok($run->{summary}{canary}{'5xx'}, '>=', 10,
        'not by fewer bad attempts than after the first hour');
    cmp_ok($run->{summary}{canary}{'5xx'}, '<=', 20, 'nor by more than twice as many');
};

# What nginx does, and what the replay of its own log says that it did.

subtest 'a rollout in nginx' => sub {
    my $t = Canary::Test->new;
    my $v1 = $t->backend('v1');
    my $v2 = $t->backend('v2', status => 500);

    $t->start(<<'EOC');
        log_format replay 'time=$msec endpoint=$canary_endpoint '
                          'release=$canary_release reason=$canary_reason '
                          'weight=$canary_weight status="$upstream_status" '
                          'header_time="$upstream_header_time" '
                          'duration="$upstream_response_time" '
                          'request_time=$request_time';

        upstream a { server 127.0.0.1:%%PORT_v1%%; }
        upstream b { server 127.0.0.1:%%PORT_v2%%; }
        upstream ep { canary_release v1 a; canary_release v2 b; }

        upstream pair {
            server 127.0.0.1:%%PORT_v2%% max_fails=0;
            server 127.0.0.1:%%PORT_v2%% max_fails=0;
        }
        upstream dead { server 127.0.0.1:%%PORT_v2%% down; }
        upstream kinds {
            canary_release v1 a;
            canary_release v2 pair;
            canary_fallback off;
        }
        upstream none { canary_release v1 a; canary_release v2 dead; }

        server {
            listen 127.0.0.1:%%PORT_http%%;
            access_log %%DIR%%/replay.log replay;
            proxy_next_upstream error http_500;

            location / { proxy_pass http://ep; }
            location /plain { proxy_pass http://ep; proxy_next_upstream off; }
        }

        server {
            listen 127.0.0.1:%%PORT_kinds%%;
            access_log %%DIR%%/kinds.log replay;
            proxy_read_timeout 300ms;
            proxy_next_upstream off;

            location / { proxy_pass http://kinds; }
            location /patient { proxy_pass http://kinds; proxy_read_timeout 60s; }
            location /nowhere { proxy_pass http://kinds; proxy_bind 192.0.2.1; }
            location /retried { proxy_pass http://kinds; proxy_next_upstream error http_500; }
            location /none { proxy_pass http://none; }
            location /again {
                proxy_pass http://kinds;
                proxy_intercept_errors on;
                error_page 500 = /second;
            }
            location = /second { internal; proxy_pass http://kinds; }
        }

        %%API%%
EOC

    my @rules = (rule(error_5xx_rate => 0.1, confidence => 'off', min_requests => 5));
    $t->start_rollout('ep', steps => [0.5], rules => \@rules);

    my $client = $t->client;
    $client->get('/') for 1 .. 3;
    $client->get('/plain') for 1 .. 3;
    $v2->set(mode => 'close');
    $client->get('/') for 1 .. 20;

    my $v2_totals = $t->totals('ep', 'v2');
    my ($event) = $t->events('ep');
    is($event->{actor}{name}, 'error_5xx_rate', 'nginx rolls back');

    $t->wait_for(sub { ($t->read_file('replay.log') =~ tr/\n//) == 26 }, 10, 'the log');

    my @log = map { "$_\n" } split /\n/, $t->read_file('replay.log');
    my $run = replay(\@log, encode([0.5], @rules), '--weight-from-log');

    is($run->{status}, 3, 'so does the replay');
    is($run->{summary}{bad_lines}, 0, 'that understands each line');

    # The last attempt may be in flight when a rule is judged, in nginx as in
    # the replay: then it is neither bad nor in the totals of the replay.

    my ($ours, $theirs) = map { s/error_5xx_rate \K[\d.]+//r }
        $run->{events}[-1]{reason}, $event->{reason};
    is($ours, $theirs, 'for the same reason');
    my ($in_replay, $in_nginx) = map { $_->{'5xx'} + $_->{failed} }
        $run->{summary}{canary}, $v2_totals;
    cmp_ok($in_nginx - $in_replay, '>=', 0, 'after as many failures');
    cmp_ok($in_nginx - $in_replay, '<=', 1, 'but for one in flight');

    all_kinds($t, $v2);
    $t->stop;
};

subtest 'an outage of both in nginx' => sub {
    my $t = Canary::Test->new;
    my ($v1, $v2) = map { $t->backend($_, delay_ms => 20) } qw(v1 v2);

    $t->start(<<'EOC');
        log_format replay 'time=$msec endpoint=$canary_endpoint '
                          'release=$canary_release reason=$canary_reason '
                          'weight=$canary_weight status="$upstream_status" '
                          'header_time="$upstream_header_time" '
                          'duration="$upstream_response_time" '
                          'request_time=$request_time';

        upstream a { server 127.0.0.1:%%PORT_v1%%; }
        upstream b { server 127.0.0.1:%%PORT_v2%%; }
        upstream ep { canary_release v1 a; canary_release v2 b; }

        server {
            listen 127.0.0.1:%%PORT_http%%;
            access_log %%DIR%%/replay.log replay;
            location / { proxy_pass http://ep; }
        }

        %%API%%
EOC

    my @plain = (confidence => 'off', min_requests => 10);
    my @rules = (rule(error_5xx_rate => 0.1, @plain),
        rule(latency_p50_max => 8, baseline => 'stable', @plain));
    $t->start_rollout('ep', steps => [0.5], rules => \@rules);

    # The canary is slow to fail, until most of its times are of the outage.

    my $load = $t->load(rate => 100, connections => 64);
    $load->wait_requests(100);
    $v1->set(status => 500, delay_ms => 20);
    $v2->set(status => 500, delay_ms => 600);
    $t->wait_for(sub { $t->endpoint('ep')->{waiting_for} }, 20, 'the hold');
    $load->wait_requests(400);

    is($t->endpoint('ep')->{phase}, 'progressing', 'nginx goes on');
    $load->stop;
    $t->stop;

    my @log = map { "$_\n" } split /\n/, $t->read_file('replay.log');
    my $run = replay(\@log, encode([0.5], @rules), '--weight-from-log');

    is($run->{summary}{result}, 'running', 'so does the replay')
        or diag($run->{output});
    is(scalar(grep { $_->{reason} =~ /^holding: / } $run->{events}->@*), 1, 'with a hold');
};

# The same configuration as people begin with.

subtest 'the log of conf.example' => sub {
    my ($format) = slurp("$FindBin::Bin/../../conf.example")
        =~ /^( +log_format canary .*?;\n)/ms or die 'no log_format';
    my $t = Canary::Test->new;
    $t->backend('v1');
    my $v2 = $t->backend('v2');

    $t->start($format . <<'EOC');
        upstream a { server 127.0.0.1:%%PORT_v1%%; }
        upstream b { server 127.0.0.1:%%PORT_v2%%; }
        upstream ep { canary_release v1 a; canary_release v2 b; }

        server {
            listen 127.0.0.1:%%PORT_http%%;
            access_log %%DIR%%/canary.log canary;
            proxy_next_upstream http_500;

            location / { proxy_pass http://ep; }
            location /none { return 204; }
        }

        %%API%%
EOC

    $t->get('/before "it" = x');
    $t->start_rollout('ep', steps => [0.5],
                      rules => [rule(failed_requests_max => 1000)]);
    $t->get("/?$_") for 1 .. 20;
    $v2->set(status => 500);
    $t->get('/bad') for 1 .. 10;
    $t->get('/none');
    $t->wait_for(sub { ($t->read_file('canary.log') =~ tr/\n//) == 32 }, 10, 'the log');

    my $totals = $t->totals('ep', 'v2');
    my $run = replay([map { "$_\n" } split /\n/, $t->read_file('canary.log')],
        encode([0.5], rule(failed_requests_max => 1000)), '--weight-from-log');

    is($run->{status}, 0, $run->{errors});
    is($run->{summary}{bad_lines}, 0, 'each line is understood');
    is_deeply([@{ $run->{summary}{canary} }{qw(attempts 5xx)}],
              [@$totals{qw(attempts 5xx)}], 'and each attempt is there');
    $t->stop;
};

done_testing();


# Whatever may become of an attempt is in the log as it is in the totals.

sub all_kinds($t, $v2) {
    $t->allow_log(qr/bind\(192\.0\.2\.1\) failed/);
    $t->start_rollout($_, steps => [1]) for qw(kinds none);

    my @kinds = ({}, { status => 404 }, { status => 503 }, { mode => 'close' },
        { mode => 'refuse' }, { mode => 'hang' }, { mode => 'bad_header' });

    for my $kind (@kinds) {
        $v2->set(%$kind);
        $t->get('/', port => 'kinds');
    }

    $v2->set;
    $t->get('/nowhere', port => 'kinds');
    $t->get('/none', port => 'kinds');

    $v2->set(status => 500);
    $t->get('/retried', port => 'kinds');
    $t->get('/again', port => 'kinds');

    $v2->set(mode => 'hang');
    my $client = $t->client('kinds');
    $client->start(uri => '/patient');
    $t->wait_for(sub { $v2->stats->{open} }, 10, 'the request');
    $client->reset;

    my $lines = @kinds + 5;
    $t->wait_for(sub { ($t->read_file('kinds.log') =~ tr/\n//) == $lines }, 10, 'the log');

    my @log = map { "$_\n" } split /\n/, $t->read_file('kinds.log');

    my $stable = $log[0] =~ s/release=v2/release=v1/r;
    my $totals = $t->totals('kinds', 'v2');
    my $run = replay([$stable, @log], encode([0.5], rule(failed_requests_max => 1000)),
                     '--endpoint', 'kinds');
    my $canary = $run->{summary}{canary};

    # A log does not tell nginx's own trouble from a client that left.
    my $own = 1;
    my $left = $totals->{aborted} // 0;

    is_deeply(
        [@$canary{qw(attempts 4xx 5xx failed aborted)}],
        [($totals->{attempts} // 0) - $left,
         map({ $_ // 0 } @$totals{qw(4xx 5xx failed)}), $left + $own],
        'the attempts of all kinds')
        or diag(@log, explain($totals), explain($run->{summary}));

    $run = replay(\@log, encode([0.5], rule(failed_requests_max => 1000)),
                  '--endpoint', 'none');
    is($run->{status}, 1, 'of a canary without a live server there is none');
    like($run->{errors}, qr/the log has no release "v2", it has "v1"$/);

    return;
}


# A line for each 10 ms; every fifth is on the canary. What is wrong with it,
# or with both, is told by a sub.

sub traffic($seconds, $spoil = undef, $whom = 'canary') {
    return map {
        my $line = line(BEGAN + $_ / RATE, $_ % 5 ? 'v1' : 'v2');
        $spoil->($line, $_ / RATE)
            if $spoil && ($line->{release} eq 'v2' || $whom eq 'both');

        # A line is written when its request ends.
        $line->{time} = sprintf '%.3f', BEGAN + $_ / RATE + $line->{duration};
        $line;
    } 0 .. $seconds * RATE - 1;
}


sub line($time, $release, %fields) {
    return {
        time        => sprintf('%.3f', $time),
        endpoint    => 'ep',
        release     => $release,
        reason      => 'weight',
        status      => '200',
        header_time => '0.010',
        duration    => '0.010',
        %fields,
    };
}


sub lists($status, $header_time, $duration) {
    return { status => $status, header_time => $header_time, duration => $duration };
}


sub text($line) {
    return ref $line ? join(' ', map { qq($_="$line->{$_}") } sort keys %$line) . "\n"
                     : $line;
}


# Steps of 20 % and 10 s.

sub strategy(@parts) {
    my @rules = grep { ref } @parts;
    my %more = grep { !ref } @parts;

    return $json->encode({ canary_strategy => {
        progress_interval_seconds => 10, progress_step => 0.2,
        rules => \@rules, %more } });
}


sub encode($steps, @rules) {
    return $json->encode({ canary_strategy => {
        progress_interval_seconds => 3600, progress_steps => $steps,
        bake_seconds => 3600, rules => \@rules } });
}


sub replay($lines, $strategy, @arguments) {
    spew('strategy.json', $strategy);

    my $began = time;
    my ($status, $output, $errors) = run(join('', map { text($_) } @$lines),
        '--stable', 'v1', '--canary', 'v2', '--strategy', "$dir/strategy.json", '--json',
        @arguments);

    my @objects = map { $json->decode($_) } split /\n/, $output;
    my $summary = @objects && $objects[-1]{summary} ? (pop @objects)->{summary} : undef;

    return { status => $status, output => $output, errors => $errors,
             events => \@objects, summary => $summary, took => time - $began };
}


# A log that is made as it is read.

sub stream($make) {
    my $output = "$dir/output";

    local $SIG{PIPE} = 'IGNORE';
    open my $log, '|-', "exec $program --stable v1 --canary v2 --json "
        . "--strategy $dir/strategy.json >$output" or die "$program: $!\n";
    $make->($log);
    close $log;
    my $status = $? >> 8;

    my @objects = map { $json->decode($_) } split /\n/, slurp($output);

    return { status => $status, events => \@objects, summary => (pop @objects)->{summary} };
}


sub run($input, @arguments) {
    spew('input', $input);

    my ($to) = map { s/^>//r } grep { /^>/ } @arguments;
    $to //= "$dir/output";
    @arguments = grep { !/^>/ } @arguments;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', "$dir/input" or die;
        open STDOUT, '>', $to or die;
        open STDERR, '>', "$dir/errors" or die;
        exec { $program } 'canary-replay', @arguments;
        die "$program: $!\n";
    }

    waitpid $pid, 0;

    return ($? & 127 ? "signal $?" : $? >> 8, slurp($to eq '/dev/full' ? '/dev/null' : $to),
            slurp("$dir/errors"));
}


sub is_same($run, $expected, $name) {
    is_deeply([$run->{status}, $run->{events}, $run->{summary}{rules}],
              [$expected->{status}, $expected->{events}, $expected->{summary}{rules}], $name)
        or diag($run->{errors});

    return;
}


# Of an event, since the first attempt.

sub seconds($event, $since = BEGAN) {
    my ($date, $fraction) = $event->{time} =~ /T(\d\d:\d\d:\d\d)(\.\d+)Z$/;
    my ($h, $m, $s) = split /:/, $date;

    return sprintf('%.3f', $h * 3600 + $m * 60 + $s + $fraction - $since % 86400) + 0;
}


sub chunks($size, @list) {
    my @chunks;

    push @chunks, [splice @list, 0, $size] while @list;

    return @chunks;
}


sub spew($name, $content) {
    open my $handle, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print $handle $content;
    close $handle or die "$dir/$name: $!\n";

    return;
}


sub slurp($name) {
    open my $handle, '<', $name or die "$name: $!\n";
    local $/;

    return scalar <$handle> // '';
}
