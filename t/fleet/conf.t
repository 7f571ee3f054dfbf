#!/usr/bin/perl

# canary_fleet: what nginx -t refuses, and in which words; what it accepts.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Test::More;

use Canary::Test;

needs('hiredis');

my $t = Canary::Test->new(workers => 1);
my $dir = $t->dir;

$t->backend($_) for qw(v1 v2);

my $endpoint = <<'EOC';
    upstream one { server 127.0.0.1:%%PORT_v1%%; }
    upstream two { server 127.0.0.1:%%PORT_v2%%; }
    upstream ep { canary_release v1 one; canary_release v2 two; }
EOC

my $long = 'n' x 64;

secret('password', "sesame\n", 0600);
secret('group', "sesame\r\n", 0640);
secret('open', "sesame\n", 0644);
secret('empty', "\n", 0600);
secret('two', "sesame\nstreet\n", 0600);
secret('key', 'sesame' x 6 . "\n", 0600);
secret('keys', 'sesame' x 6 . "\n" . 'street' x 6 . "\n", 0600);
secret('three', 'sesame' x 6 . "\n" . 'street' x 6 . "\nthree\n", 0600);
secret('big', 'x' x 5000, 0600);
POSIX::mkfifo("$dir/fifo", 0600) or die "mkfifo: $!";
mkdir "$dir/directory" or die "mkdir: $!";

my $local = 'canary_fleet shop redis://127.0.0.1 node=a';

# The line of each is #!'s; nothing of a password may be repeated.

my @refused = (
    [ 'canary_fleet;', qr/invalid number of arguments in "canary_fleet"/ ],
    [ 'canary_fleet shop;', qr/invalid number of arguments/ ],
    [ "$local;\n$local;", qr/"canary_fleet" directive is duplicate/ ],

    [ 'canary_fleet "" redis://127.0.0.1 node=a;',
      qr/invalid name "" of a fleet.* at most 63 of the characters/ ],
    [ "canary_fleet $long redis://127.0.0.1 node=a;",
      qr/invalid name "$long" of a fleet/ ],
    [ 'canary_fleet a/b redis://127.0.0.1 node=a;',
      qr{invalid name "a/b" of a fleet} ],
    [ "canary_fleet shop redis://127.0.0.1 node=$long;",
      qr/invalid name "$long" of a node.* "node=" .* at most 63/ ],
    [ 'canary_fleet shop redis://127.0.0.1 "node=a b";',
      qr/invalid name "a b" of a node/ ],
    [ 'canary_fleet shop redis://127.0.0.1 node=$host;',
      qr/invalid name "\$host" of a node.*\$hostname/ ],
    [ 'canary_fleet shop redis://127.0.0.1 node=@lead;',
      qr/invalid name "\@lead" of a node/ ],

    [ 'canary_fleet shop 127.0.0.1:6379 node=a;',
      qr{invalid address .*must begin with "redis://", "rediss://" or "unix:} ],
    [ 'canary_fleet shop http://127.0.0.1 node=a;', qr/invalid address/ ],
    [ 'canary_fleet shop redis:// node=a;', qr/no name in host ""/ ],
    [ 'canary_fleet shop redis://127.0.0.1, node=a;', qr/no name in host ""/ ],
    [ 'canary_fleet shop redis://127.0.0.1,,127.0.0.2 node=a;',
      qr/no name in host ""/ ],
    [ 'canary_fleet shop redis://127.0.0.1:port node=a;',
      qr/invalid port in host "127\.0\.0\.1:port".* "host:port"/ ],
    [ 'canary_fleet shop redis://127.0.0.1:65536 node=a;', qr/invalid port/ ],
    [ 'canary_fleet shop redis://127.0.0.1:0 node=a;', qr/invalid port/ ],
    [ 'canary_fleet shop redis://no-such-host.invalid node=a;',
      qr/host not found in host "no-such-host\.invalid"/ ],
    [ 'canary_fleet shop redis://127.0.0.1/one node=a;',
      qr/invalid database "one" .*must be a number/ ],
    [ 'canary_fleet shop redis://127.0.0.1/-1 node=a;',
      qr/invalid database "-1"/ ],
    [ 'canary_fleet shop redis://'
      . join(',', map { "127.0.0.$_" } 1 .. 17) . ' node=a;',
      qr/more than 16 hosts/ ],
    [ 'canary_fleet shop redis://user:sesame@127.0.0.1 node=a;',
      qr/has a password, it must be in a file that "password_file=" names/ ],
    [ 'canary_fleet shop redis://:sesame@127.0.0.1 node=a;',
      qr/has a password/ ],
    [ 'canary_fleet shop redis://user:ses@me/sesame@127.0.0.1 node=a;',
      qr/has a password/ ],
    [ 'canary_fleet shop redis://@127.0.0.1 node=a;', qr/user .* is empty/ ],
    [ 'canary_fleet shop redis://user@127.0.0.1 node=a;',
      qr/user "user" .* has no password, "password_file=" must/ ],

    [ "$local timeout=199ms;", qr/"199ms" of "timeout=".* from 200ms to 5s/ ],
    [ "$local timeout=5001ms;", qr/"5001ms" of "timeout="/ ],
    [ "$local timeout=soon;", qr/"soon" of "timeout="/ ],
    [ "$local node_tests=yes;",
      qr/"yes" of "node_tests=".* "on" or "off"/ ],
    [ "$local quorum=3;",
      qr/unknown parameter "quorum".* one of "node=", .*"resolve"/ ],
    [ "$local timeout;", qr/unknown parameter "timeout"/ ],
    [ "$local resolve=on;", qr/unknown parameter "resolve"/ ],
    [ "$local node=b;", qr/duplicate parameter "node"/ ],
    [ "$local timeout=1s timeout=1s;", qr/duplicate parameter "timeout"/ ],
    [ "$local password_file=;", qr/"password_file" .* is empty/ ],
    [ 'canary_fleet shop redis://127.0.0.1 node=;', qr/"node" .* is empty/ ],

    (map { my $file = $_;
        [ "$local ${file}_file=no;", qr{open\(\) "$dir/no" failed} ],
        [ "$local ${file}_file=open;",
          qr/"$dir\/open".* accessible to others, .*mode 0600/ ],
        [ "$local ${file}_file=empty;",
          qr/"$dir\/empty".* must have (?:exactly )?one line/ ],
        [ "$local ${file}_file=big;", qr/"$dir\/big".* at most 4096 bytes/ ],
        [ "$local ${file}_file=fifo;", qr/"$dir\/fifo".* regular file/ ],
        [ "$local ${file}_file=directory;",
          qr/"$dir\/directory".* regular file/ ],
    } qw(password key)),

    [ "$local password_file=two;", qr/"$dir\/two".* exactly one line/ ],
    [ "$local key_file=two;",
      qr/a key in "$dir\/two".* has \d+ bytes.* at least 32.* rand -hex 32/ ],
    [ "$local key_file=three;", qr/"$dir\/three".* one line of text, or two/ ],
    [ 'canary_fleet shop rediss://127.0.0.1 node=a;',
      qr{"rediss://" .* needs "trusted_certificate=".*verified} ],
    [ 'canary_fleet shop rediss://127.0.0.1 node=a trusted_certificate=no;',
      qr{"$dir/no"}, 'anywhere' ],
    (map { [ "$local $_=file;", qr{for an address .*"rediss://"} ] }
         qw(trusted_certificate certificate certificate_key server_name)),

    [ "$local resolve;", qr/"resolve" .* needs the directive "resolver"/,
      'anywhere' ],
);

subtest 'refused' => sub {
    for my $case (@refused) {
        my ($directive, $pattern, $anywhere) = @$case;
        my ($accepted, $output) = $t->check("$endpoint$directive #!");
        my $line = $t->line_of('#!');

        ok(!$accepted, "refused: $directive");
        like($output, qr/\[emerg\].*$pattern/, 'why');
        like($output, qr/check\.conf:$line$/m, 'where') if !$anywhere;
        unlike($output =~ s/\Q$dir\E//gr, qr/sesame|street|ses\@me/,
               'no secret is told');
    }
};

subtest 'the files are of root, or of who starts nginx' => sub {
    needs('root');

    secret('foreign', "sesame\n", 0600);
    chown 65534, 0, "$dir/foreign" or die "chown: $!";

    my ($accepted, $output)
        = $t->check("$endpoint$local password_file=foreign;");
    ok(!$accepted, 'refused');
    like($output, qr/"$dir\/foreign".* accessible to others/, 'why');
};

my %accepted = (
    'the smallest'  => 'canary_fleet shop redis://127.0.0.1 node=a',
    'all names'     => 'canary_fleet Sh_0.p- redis://127.0.0.1 node=w-1_b.C',
    'the longest'   => 'canary_fleet ' . 'f' x 63 . ' redis://127.0.0.1 node='
                       . 'n' x 63,
    'the host name' => 'canary_fleet shop redis://127.0.0.1 node=$hostname',
    'several'       => 'canary_fleet shop redis://127.0.0.1:1,[::1]:2,[::1]/7 '
                       . 'node=a',
    'a socket'      => 'canary_fleet shop unix:/run/redis.sock node=a',
    'a file'        => "$local password_file=password",
    'of a group'    => "$local password_file=group",
    'a user'        => 'canary_fleet shop redis://me@127.0.0.1 node=a '
                       . 'password_file=password',
    'over ::1'      => 'canary_fleet shop redis://me@[::1] node=a '
                       . 'password_file=password',
    'over a socket' => 'canary_fleet shop unix:/run/redis.sock node=a '
                       . 'password_file=password',
    'a key'         => "$local key_file=key",
    'two keys'      => "$local key_file=keys",
    'the limits'    => "$local timeout=200ms",
    'and the other' => "$local timeout=5s",
    'on'            => "$local node_tests=on",
    'off'           => "$local node_tests=off",
    'names later'   => 'resolver 127.0.0.1; canary_fleet shop '
                       . 'redis://no-such-host.invalid:1,127.0.0.1 node=a '
                       . 'resolve',
);

subtest 'accepted' => sub {
    for my $name (sort keys %accepted) {
        my ($accepted, $output) = $t->check("$endpoint$accepted{$name};");

        ok($accepted, $name) or diag($output);
        unlike($output, qr/\[(?:warn|alert|crit|emerg)\]/, 'no warning');
    }
};

subtest 'a password in plain text' => sub {
    for my $url ('redis://192.0.2.1', 'redis://127.0.0.1,192.0.2.1',
                 'redis://[2001:db8::1]')
    {
        my ($accepted, $output) = $t->check(
            "$endpoint canary_fleet shop $url node=a "
            . 'password_file=password;');

        ok($accepted, "accepted: $url") or diag($output);
        like($output, qr{\[warn\].*plain text, "rediss://"}, 'with a warning');
    }

    my ($accepted, $output) = $t->check(
        "$endpoint resolver 127.0.0.1; canary_fleet shop redis://somewhere "
        . 'node=a password_file=password resolve;');
    like($output, qr/\[warn\].*plain text/, 'a name may be anywhere');
};

subtest 'TLS' => sub {
    needs('openssl');

    certificate();

    my $tls = 'canary_fleet shop rediss://127.0.0.1 node=a '
              . 'trusted_certificate=cert.pem';

    for my $more ('', ' server_name=redis.example',
                  ' certificate=cert.pem certificate_key=key.pem')
    {
        my ($accepted, $output) = $t->check("$endpoint$tls$more;");
        ok($accepted, "accepted: $more") or diag($output);
    }

    for my $more ('certificate=cert.pem', 'certificate_key=key.pem') {
        my ($accepted, $output) = $t->check("$endpoint$tls $more;");
        ok(!$accepted, "refused: $more alone");
        like($output, qr/"certificate=" and "certificate_key=".* both/, 'why');
    }
};

$t->finish;


sub secret($name, $text, $mode) {
    $t->write_file($name, $text);
    chmod $mode, "$dir/$name" or die "chmod: $!";

    return;
}


sub certificate() {
    system("cd $dir && openssl req -x509 -newkey ec "
           . '-pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=redis '
           . '-keyout key.pem -out cert.pem 2>/dev/null') == 0
        or die 'openssl failed';

    return;
}
