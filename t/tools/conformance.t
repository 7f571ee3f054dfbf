#!/usr/bin/perl

# make conformance, with a suite that is no more than it has to be.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib", "$FindBin::Bin/../conformance/lib";

use Test::More;

use Canary::Test;
use Conformance::Config qw(behind_endpoints);

needs('speed');

my $t = Canary::Test->new(timeout => 1800);

make_suite();
$t->write_file('expected', "known.t | idle, force | * | not * | it is so\n");

subtest 'a configuration behind endpoints' => sub {
    my $text = <<'EOC';
        # upstream none { server 127.0.0.1:9; }
        upstream one { zone one 64k; server 127.0.0.1:1; keepalive 1; }
        upstream "two" {
            server 127.0.0.1:2 down; # not }
            server 127.0.0.1:3;
        }
        map $uri $name { "~}" one; default two; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://one; }
            location /two { proxy_pass http://two/; }
            location /text { return 200 "proxy_pass http://127.0.0.1:7;"; }
            location /name { proxy_pass http://$name; }
            location /at {
                if ($arg_a) { proxy_pass http://127.0.0.1:8; }
                proxy_pass http://127.0.0.1:8/uri;
            }
            location /host { proxy_pass https://localhost; }
            location /unix { proxy_pass http://unix:/tmp/a.sock:/uri; }
            location /fast { fastcgi_pass 127.0.0.1:8; }
        }
EOC

    for my $mode (qw(idle force rollout)) {
        my ($rewritten, @names)
            = behind_endpoints("http {\n$text}\n", $mode, server => '%%API%%');
        my $inside = $rewritten =~ s/\A\s*http \{(.*)\}\s*\z/$1/sr;

        is_deeply([ sort @names ],
                  [ sort qw(one two at_127.0.0.1_8 at_localhost_443
                            at_unix_tmp_a.sock) ], "$mode: its endpoints");

        my ($accepted, $said) = $t->check($inside);
        ok($accepted, 'nginx accepts it') || diag($said);

        like($rewritten, qr{# upstream none \{}, 'a comment stays');
        like($rewritten, qr{"proxy_pass http://127\.0\.0\.1:7;"}, 'and a string');
        like($rewritten, qr{proxy_pass http://\$name;}, 'and a variable');
        like($rewritten, qr{proxy_pass http://at_127\.0\.0\.1_8/uri;},
             'an address is an endpoint');
        is(() = $rewritten =~ /server 127\.0\.0\.1:2 down;/g,
           $mode eq 'rollout' ? 2 : 1, 'in as many releases');
    }

    my $stream = "stream { server { listen 1; proxy_pass 127.0.0.1:8; } }\n"
        . "http { }\n";
    my ($rewritten, @names) = behind_endpoints($stream, 'idle');

    is(@names, 0, 'nothing of a stream');
    like($rewritten, qr/proxy_pass 127\.0\.0\.1:8;/, 'is touched');
};

subtest 'what is worse' => sub {
    needs('module');

    my ($status, $said) = conformance('*.t', 'loaded idle');

    isnt($status, 0, 'it fails');
    is_deeply([ $said =~ /^WORSE: (.*)$/mg ], [
        'bad.t, idle, test 2 (as stock): fails',
        'gone.t, idle, test 1 (one): missing',
        'refused.t, idle, test 1 (one): skipped: it is refused',
    ], 'and says why');
    like($said, qr/^nginx [\d.]+: 7 tests pass with stock$/m, 'of how many');
    like($said, qr/^  loaded: 7 of them in 6 files: 0 worse, and 0 for/m,
         'with the module loaded');
    like($said, qr/^  idle: 7 of them in 6 files: 3 worse, and 1 for/m,
         'behind endpoints');
};

subtest 'what is not' => sub {
    needs('module');

    my ($status, $said) = conformance('known.t lucky.t', 'idle');

    is($status, 0, 'a written reason, and chance');
    unlike($said, qr/WORSE/, 'are not told');

    ($status, $said) = conformance('known.t', 'rollout');
    isnt($status, 0, 'but in another mode');
    like($said, qr/^WORSE: known\.t, rollout, test 1 \(not so\)/m, 'they are');
};

subtest 'what cannot be run' => sub {
    needs('module');

    for (
        [ [ $t->dir, 'idle' ], qr/^no checkout of nginx's tests in '\S+':/ ],
        [ [ suite(), 'busy' ], qr/^no mode 'busy': loaded, idle, force, roll/ ],
        [ [ suite(), 'idle', 'none.t' ], qr/^no files in \S+: none\.t$/ ],
    ) {
        my ($where, $why) = @$_;
        my ($status, $said) = conformance_in(@$where);

        isnt($status, 0, 'it fails');
        like($said, $why, 'and says why');
    }
};

$t->finish;


sub suite() { return $t->dir . '/suite' }


sub conformance($files, $modes) {
    return conformance_in(suite(), $modes, $files);
}


sub conformance_in($dir, $modes, $files = '*.t') {
    local $ENV{FILES} = $files;
    local $ENV{MODES} = $modes;
    local $ENV{TEST_NGINX_BINARY} = $ENV{TEST_NGINX_BINARY} // 'nginx';
    my $said = '';

    open my $out, '-|', "$FindBin::Bin/../conformance/run '$t->{module}' '$dir' "
        . $t->dir . '/expected 2>&1' or die "run: $!";
    { local $/; $said = <$out>; }
    close $out;

    return ($?, $said);
}


# One that runs no nginx: its tests look at what has become of what they wrote.

sub make_suite() {
    my %test = (
        good    => 'say "ok 1 - one"',
        bad     => 'say "ok 1 - one\n", $behind ? "not " : "", '
                 . '"ok 2 - as stock"',
        gone    => 'exit 1 if $behind; say "ok 1 - one"',
        refused => 'say $behind ? "1..0 # SKIP it is refused" : "ok 1 - one"',
        known   => 'say $behind ? "not " : "", "ok 1 - not so"',
        lucky   => 'say mkdir("$0.$ENV{CONFORMANCE_MODE}") && $behind '
                 . '? "not " : "", "ok 1 - one"',
    );

    mkdir suite() . $_ for '', '/lib', '/lib/Test';
    $t->write_file('suite/lib/Test/Nginx.pm', <<'EOC');
package Test::Nginx;

use v5.36;
use File::Temp;

sub new($class) { return bless { dir => File::Temp->newdir }, $class }
sub testdir($self) { return "$self->{dir}" }
sub run($self) { return $self }

sub write_file($self, $name, $text) {
    open my $out, '>', "$self->{dir}/$name" or die "$name: $!";
    print $out $text;

    return close $out;
}

1;
EOC

    for my $name (keys %test) {
        $t->write_file("suite/$name.t", <<"EOC");
use v5.36;
use Test::Nginx;

my \$t = Test::Nginx->new;
\$t->write_file('nginx.conf', 'http { server { location / {
    proxy_pass http://127.0.0.1:1;
} } }');
open my \$in, '<', \$t->testdir . '/nginx.conf';
my \$behind = grep { /canary_release/ } <\$in>;

\$| = 1;
$test{$name};
EOC
    }

    return;
}
