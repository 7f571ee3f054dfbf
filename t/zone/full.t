#!/usr/bin/perl

# A zone that was full when nginx ended: what fitted into it fits again, and
# where it has become too small, no endpoint goes back to an old release.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

use constant MANY => 300;

my $t = Canary::Test->new(workers => 2);

$t->backend('v1', body => 'v1');
$t->backend('v2', body => 'v2');

subtest 'many endpoints in the default zone' => sub {
    $t->start(conf('16m', MANY));

    promote($_) for 1 .. 4;
    begin($_) for 5 .. 8;
    $t->stop;
    $t->start;

    is_deeply([ stable(1 .. 8) ], [ ('v2') x 4, ('v1') x 4 ],
              'have the stable release that they had');
    is_deeply([ running(1 .. MANY) ], [ 5 .. 8 ], 'and their rollouts');
    is(scalar(() = $t->events("ep1")), 2, 'and events');
    is(served(1), 'v2', 'and serve so');
    unlike($t->error_log, qr/too small/, 'all of it fits');
};

my $least = least(40);
my $little = $least + 1536;
my @fit;

subtest 'a zone full of rollouts' => sub {
    renew(conf("${little}k", 40));

    promote($_) for 1 .. 4;
    @fit = grep { begin($_) == 201 } 1 .. 40;
    cmp_ok(scalar @fit, '>', 4, 'of which some fit');
    cmp_ok(scalar @fit, '<', 40, 'and others do not');

    for (1 .. 3) {
        $t->stop;
        $t->start;
        is_deeply([ running(1 .. 40) ], \@fit, 'has them after a restart');
        is_deeply([ stable(1 .. 5) ], [ ('v2') x 4, 'v1' ], 'and the rest');
    }
    unlike($t->error_log, qr/too small/, 'all of it fits');
};

subtest 'and then a smaller one' => sub {
    $t->stop;
    $t->start(conf(($least + 512) . 'k', 40));
    $t->allow_log(qr/canary_zone is too small for/, qr/is kept as/);

    my @left = running(1 .. 40);
    cmp_ok(scalar @left, '<', @fit, 'has fewer of them');
    is_deeply([ stable(1 .. 40) ], [ ('v2') x 4, ('v1') x 36 ],
              'but no stable release is another');
    is(served(1), 'v2', 'and serves so');

    my %left = map { $_ => 1 } @left;
    my ($gone) = grep { !$left{$_} } @fit;
    my $last = $t->endpoint("ep$gone")->{last_rollout};
    is($last->{result}, 'rolled_back', 'a rollout that does not fit has ended');
    like($last->{reason}, qr/canary_zone is too small/, 'and tells why');
    like($t->error_log, qr/"ep$gone" begins idle on its stable release v\d, /,
         'as does the log');

    $t->stop;
    $t->start(conf("${little}k", 40));
    is_deeply([ running(1 .. 40) ], \@left, 'that is so from then on');
};

subtest 'another nginx that follows' => sub {
    renew(conf("${little}k", 40));
    my $other = Canary::Test->new(workers => 1);
    my $conf = conf(($little + 256) . 'k', 40);
    $other->start('canary_state_path ' . $t->dir . "/canary;\n"
                  . $conf =~ s/%%PORT_(v\d)%%/$t->port($1)/ger, as => $t);
    $other->allow_log(qr/another nginx/);
    $other->wait_for(sub { exists $other->endpoint('ep1')->{durable} }, 10,
                     'it to follow');

    my @first = grep { begin($_) == 201 } 1 .. 40;
    follows($other, \@first, 'it follows rollouts');
    $t->verb("ep$_" => 'rollback') for @first;
    follows($other, [], 'and their end');

    my @then = grep { begin($_) == 201 } reverse 1 .. 40;
    @then = sort { $a <=> $b } @then;
    cmp_ok(scalar @then, '>', 1, 'others begin');
    follows($other, \@then, 'in the room that they have left');

    $t->stop;
    $other->wait_for(sub {
        !exists $other->endpoint('ep1')->{durable}
    }, 20, 'it to take over');
    follows($other, \@then, 'it goes on with them');
    $other->stop;
    $t->start;
};

$t->finish;


sub follows($nginx, $expected, $name) {
    my @running;
    $nginx->wait_for(sub {
        @running = running_in($nginx, 1 .. 40);
        return "@running" eq "@$expected";
    }, 20, 'it to follow') if "@{[ running_in($nginx, 1 .. 40) ]}" ne "@$expected";
    @running = running_in($nginx, 1 .. 40);
    return is_deeply(\@running, $expected, $name);
}


# From nothing.

sub renew($conf) {
    $t->stop;
    unlink $t->dir . '/canary/state.json';
    $t->start($conf);
}


sub least($n) {
    my (undef, $output) = $t->check(conf('64k', $n));

    return $output =~ /needs about (\d+)k/ ? $1 : die $output;
}


sub begin($n) {
    return $t->api_post("endpoints/ep$n/rollout", { canary_strategy => {
        rules => [ rule(failed_requests_max => 5) ] } })->status;
}


sub promote($n) {
    is(begin($n), 201, "ep$n begins");
    $t->verb("ep$n" => 'promote');
}


sub stable(@n) {
    my %stable = map { $_->{name} => $_->{stable} } all($t);

    return @stable{ map { "ep$_" } @n };
}


sub running(@n) {
    return running_in($t, @n);
}


sub running_in($nginx, @n) {
    my %phase = map { $_->{name} => $_->{phase} } all($nginx);

    return grep { $phase{"ep$_"} eq 'progressing' } @n;
}


sub all($nginx) {
    return @{ $nginx->api_get('endpoints')->json->{endpoints} };
}


sub served($n) {
    return $t->get("/$n")->body;
}


sub conf($size, $n) {
    my ($upstreams, $locations) = ('', '');

    for my $i (1 .. $n) {
        $upstreams .= <<"EOC";
    upstream v1-$i { server 127.0.0.1:%%PORT_v1%%; }
    upstream v2-$i { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep$i { canary_release v1 v1-$i; canary_release v2 v2-$i; canary_interval 1h; }
EOC
        $locations .= "        location = /$i { proxy_pass http://ep$i; }\n";
    }

    return <<"EOC";
    canary_zone zone=full:$size;
$upstreams
    server {
        listen 127.0.0.1:%%PORT_http%%;
$locations
    }
    %%API%%
EOC
}
