#!/usr/bin/perl

# The blocks of nginx.conf in the reference: nginx takes each of them, and
# Prometheus that of its own. Those of the recipes are run by recipes.t, that
# of README by t/http/sample.t.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Basename qw(basename);
use Test::More;

use Canary::Test;

my $docs = "$FindBin::Bin/../../docs";
my $t = Canary::Test->new;
my $blocks = 0;

$t->backend('v1');

# What the files of a fleet are made of here.

$t->write_file('canary.redis', "secret\n");
chmod 0600, $t->dir . '/canary.redis';
system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis1'
       . " -keyout @{[ $t->dir ]}/ca.key -out @{[ $t->dir ]}/ca.crt"
       . ' 2>/dev/null') == 0 or note('no openssl');

for my $file (grep { !/recipes/ } sort glob "$docs/*.md") {
    for my $block (slurp($file) =~ /^```nginx\n(.*?)^```/msg) {
        next if $block =~ /^load_module/;
        next if $block =~ /^canary_fleet/ && lacks('hiredis', 'openssl');

        my ($ok, $said) = $t->check(config_of($block));

        ok($ok, basename($file) . ': ' . $block =~ s/\n.*//sr) or diag($said);
        $blocks++;
    }
}

cmp_ok($blocks, '>', 3, 'there are such blocks');

subtest 'Prometheus takes its configuration' => sub {
    needs('promtool');

    my ($yaml) = slurp("$docs/metrics.md") =~ /^```yaml\n(.*?)^```/ms;

    for my $name (qw(rules.yml alerts.yml)) {
        $t->write_file($name, slurp("$docs/../contrib/prometheus/$name"));
    }
    $t->write_file('prometheus.yml', $yaml);

    my $said = `promtool check config @{[ $t->dir ]}/prometheus.yml 2>&1`;

    is($?, 0, 'with the rules and alerts') or diag($said);
    like($said, qr/2 rule files found/, 'both of them');
};

$t->finish;


# With what a block leaves out, by the context that it is of.

sub config_of ($block) {
    my $releases = 'canary_release v1 model_v1; canary_release v2 model_v2;';

    if ($block =~ /^canary_rule/) {
        my %matches = map { $_ => 1 } $block =~ /match=(\w+)/g;

        $block = "upstream some-path { $releases "
            . join('', map { "canary_match $_ \$arg_x;" } keys %matches)
            . "\n$block }\n";
    }

    $block =~ s/\.\.\./$releases/ if $block =~ /^upstream some-path/m;
    $block = "upstream some-path { $releases }\n$block"
        unless $block =~ /^upstream some-path/m;
    $block =~ s/^location .*/server { listen 127.0.0.1:%%PORT_http%%; $& }/ms;
    $block =~ s/redis\d:6379/127.0.0.1:6379/g;
    $block =~ s{/etc/nginx/|/etc/ssl/certs/|/var/}{%%DIR%%/}g;
    $block =~ s/ca-certificates\.crt/ca.crt/g;

    return <<"EOC";
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%%; }
    upstream model_v2 { server 127.0.0.1:%%PORT_v1%%; }
    $block
    %%API%%
EOC
}


sub slurp ($name) {
    open my $in, '<', $name or die "$name: $!";
    local $/;

    return <$in>;
}
