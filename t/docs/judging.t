#!/usr/bin/perl

# docs/judging.md: how many attempts a step needs, as nginx says it.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Canary::Test;

my @rows = slurp("$FindBin::Bin/../../docs/judging.md")
    =~ /^\| ([\d.]+) %(?:, or a `(\w+)`)? \| ([\d,]+) \|/mg;
my (@rules, @expected);

while (my ($percent, $quantile, $attempts) = splice @rows, 0, 3) {
    $attempts =~ tr/,//d;

    push @rules, rule(error_5xx_rate => $percent / 100);
    push @expected, "error_5xx_rate $attempts";
    push @rules, rule($quantile => 100) if $quantile;
    push @expected, "$quantile $attempts" if $quantile;
}

cmp_ok(@rules, '>', 5, 'there is a table');

my $t = Canary::Test->new(workers => 1);
$t->backend($_) for qw(v1 v2);

$t->start(<<'EOC');
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep {
        canary_release v1 model_v1;
        canary_release v2 model_v2;
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass http://ep; }
    }
    %%API%%
EOC

$t->start_rollout('ep', rules => \@rules);
is(join("\n", map { "$_->{rule} $_->{needs}" } @{ $t->endpoint('ep')->{rules} }),
   join("\n", @expected), 'what a rule needs');

$t->finish;


sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}
