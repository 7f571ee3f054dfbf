#!/usr/bin/perl

# Rules that compare the canary with stable.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my $t = Canary::Test->new;
my $v1 = $t->backend('v1');
my $v2 = $t->backend('v2');

my @endpoints = qw(errors errors_off latency mean common left all);
my @upstreams = map { <<~EOC } @endpoints;
    upstream $_ {
        canary_release  v1 model_v1;
        canary_release  v2 model_v2;
        canary_interval 10m;
        canary_step     50%;
    }
    EOC
my @locations = map { "location /$_ { proxy_pass http://$_; }" } @endpoints;

$t->start(<<"EOC");
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; keepalive 64; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; keepalive 64; }

    @upstreams

    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        @locations
    }

    %%API%%
EOC


# Rules that compare. Stable has 2 % of errors, and a p90 of some 20 ms.

my %stable = (nth => { n => 50, status => 500 });

subtest 'as many errors as stable has' => sub {
    both(%stable);
    promotes('errors', rule(error_5xx_rate => 0.01, baseline => 'stable'));

    my ($rule) = figures_of('errors');
    is($rule->{baseline}, 'stable', 'the figures say what it is');
    cmp_ok(abs($rule->{value}), '<=', 0.01, 'it is a difference');
    is_deeply($rule->{bounds}, [undef, undef], 'of which no bounds are known');
};

for my $case ([ 'errors', {} ],
              [ 'errors_off', { confidence => 'off', min_requests => 200 } ])
{
    my ($endpoint, $parameters) = @$case;

    subtest "ten times as many, $endpoint" => sub {
        both(%stable);
        start($endpoint, rule(error_5xx_rate => 0.01, baseline => 'stable',
                              %$parameters));
        canary_of($endpoint)->set(nth => { n => 5, status => 500 });
        falls($endpoint,
              qr/^error_5xx_rate 0\.\d+ > 0\.01 above stable's after/);
    };
}

subtest 'as slow as stable' => sub {
    both(delay_ms => 10, nth => { n => 4, delay_ms => 20 });
    promotes('latency', rule(latency_p90_max => 1.5, baseline => 'stable'));

    my ($rule) = figures_of('latency');
    cmp_ok($rule->{value}, '<=', 1.5, 'the value is a ratio');
    cmp_ok($rule->{value}, '>', 0.5, 'near 1');
};

subtest 'twice as slow' => sub {
    both(delay_ms => 10, nth => { n => 4, delay_ms => 20 });
    start('latency', rule(latency_p90_max => 1.5, baseline => 'stable'));
    canary_of('latency')->set(delay_ms => 20,
                              nth => { n => 4, delay_ms => 40 });
    falls('latency', qr/^latency_p90_max (?:[\d.]+ )?> 1\.5 times stable's/);
};

subtest 'the mean' => sub {
    both(delay_ms => 10);
    promotes('mean', rule(latency_avg_max => 1.5, baseline => 'stable'));

    start('mean', rule(latency_avg_max => 1.5, baseline => 'stable'));
    canary_of('mean')->set(delay_ms => 40);
    falls('mean', qr/^latency_avg_max (?:[\d.]+ )?> 1\.5 times stable's/);
};

subtest 'what both have breaks none of them' => sub {
    both();
    start('common', rule(error_5xx_rate => 0.01, baseline => 'stable'),
                    rule(latency_p90_max => 1.5, baseline => 'stable'));

    my $load = load('common', connections => 8, rate => 600);
    $load->wait_requests(400);

    # The canary is never the only one.
    my $canary = canary_of('common');
    my ($stable) = grep { $_ != $canary } $v1, $v2;
    my %broken = (delay_ms => 10, nth => { n => 2, status => 500 });
    $_->set(%broken) for $stable, $canary;
    $load->wait_requests(1000);
    $_->set for $canary, $stable;
    $load->wait_requests(200);
    $load->stop;

    is($t->endpoint('common')->{phase}, 'progressing', 'it goes on');
    is(scalar $t->events('common'), 1, 'and nothing has happened');
    $t->verb(common => 'rollback');
};

# Nothing of the canary is ever answered, and no client waits for long.

subtest 'a hung canary, and clients that go away' => sub {
    both();
    start('left', rule(latency_p90_max => 1.5, baseline => 'stable'));
    my $load = load('left', connections => 2, rate => 200);
    $t->wait_for(
        sub { $t->endpoint('left')->{rules}[0]{verdict} eq 'passing' });
    $load->stop;
    canary_of('left')->set(mode => 'hang');

    my $turns = 0;
    while ($t->endpoint('left')->{phase} eq 'progressing' && $turns++ < 200) {
        my @waiting = map { $t->client->start(uri => '/left') } 1 .. 2;

        # on a slow machine stable takes longer, and so does the limit
        Canary::Util::pause(0.15 + 0.02 * $turns);
        $_->close for @waiting;
    }

    my $last = $t->endpoint('left')->{last_rollout};
    is($last->{result}, 'rolled_back', "rolled back in turn $turns");
    like($last->{reason}, qr/^latency_p90_max > 1\.5 times stable's: /,
         'the reason');
};

subtest 'with nothing to compare with' => sub {
    my @rules = (rule(error_5xx_rate => 0.01, baseline => 'stable'),
                 rule(latency_avg_max => 2, baseline => 'stable'));
    my %strategy = (progress_steps => [1], rules => \@rules);
    my $response = $t->api_post('endpoints/all/rollout',
                                { canary_strategy => \%strategy });

    is($response->status, 400, 'all at once is refused');
    is($response->json->{errors}[0]{pointer}, '/canary_strategy/rules',
       'where');
    like($response->json->{errors}[0]{detail},
         qr/compare the canary with stable.*a rule without a baseline/,
         'why');
    is($t->endpoint('all')->{phase}, 'idle', 'nothing has begun');

    push @rules, rule(error_5xx_rate => 0.5);
    is($t->api_post('endpoints/all/rollout',
                    { canary_strategy => \%strategy })->status, 201,
       'not with another rule beside them');
    $t->verb(all => 'rollback');
};

$t->finish;


sub both(%behaviour) {
    $_->set(%behaviour) for $v1, $v2;

    return;
}


sub canary_of($endpoint) {
    return $t->endpoint($endpoint)->{canary} eq 'v1' ? $v1 : $v2;
}


sub start($endpoint, @rules) {
    return $t->start_rollout($endpoint, steps => [0.5], interval => 600,
                             rules => \@rules);
}


# The rule lets a canary pass that is no worse than stable.

sub promotes($endpoint, @rules) {
    $t->start_rollout($endpoint, steps => [0.5], interval => 0.5, bake => 0,
                      rules => \@rules);

    my $load = load($endpoint, connections => 8, rate => 600);
    wait_until_idle($endpoint);
    is($load->stop->{failed}, 0, 'no request is lost');

    return is($t->endpoint($endpoint)->{last_rollout}{result}, 'promoted',
              'promoted');
}


# And not one that is.

sub falls($endpoint, $reason) {
    my $load = load($endpoint, connections => 8, rate => 600);
    wait_until_idle($endpoint);
    is($load->stop->{failed}, 0, 'no request is lost');

    my $last = $t->endpoint($endpoint)->{last_rollout};
    is($last->{result}, 'rolled_back', 'rolled back');

    return like($last->{reason}, $reason, 'the reason');
}


# Those of the step to 100 %.

sub figures_of($endpoint) {
    my ($event) = grep { $_->{to}{phase} eq 'baking' } $t->events($endpoint);

    return @{ $event->{figures}{rules} };
}


sub load($endpoint, %opt) {
    return $t->load(request => { uri => "/$endpoint" }, %opt);
}


sub wait_until_idle($endpoint) {
    return $t->wait_for(sub { $t->endpoint($endpoint)->{phase} eq 'idle' }, 30,
                        "the rollout of $endpoint to end");
}
