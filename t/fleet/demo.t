#!/usr/bin/perl

# make fleet-demo: it shows what it says, and leaves nothing behind.
# TEST_CANARY_FLEET=1 lets it come to its end.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use POSIX qw(setsid WNOHANG);
use Test::More;

use Canary::Needs;
use Canary::Util qw(reserve_port wait_for);

needs('module', 'hiredis', 'redis-server', 'processes', 'speed');

my $root = abs_path("$FindBin::Bin/../..");
my $module = $ENV{TEST_CANARY_MODULE}
    // "$root/build/ngx_http_canary_module.so";
my $dir = tempdir('canary-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my @ports = map { [ reserve_port() ] } 1 .. 4;
my $pid;

END {
    if ($pid) {
        local $?;
        kill TERM => $pid;
        waitpid $pid, 0;
    }
}

chmod 0755, $dir;                               # workers are another user

# The nginx under test is the one on the PATH.

if (my $nginx = $ENV{TEST_NGINX_BINARY}) {
    mkdir "$dir/bin" or die "$dir/bin: $!";
    symlink abs_path($nginx), "$dir/bin/nginx" or die "$dir/bin/nginx: $!";
    $ENV{PATH} = "$dir/bin:$ENV{PATH}";
}

subtest 'interrupted' => sub {
    start_demo();
    wait_for(sub { output() =~ /started v2/ }, 60, 'a rollout');
    cmp_ok(scalar processes(), '>=', 10, 'there are processes');
    is(scalar directories(), 1, 'and a directory');

    kill INT => -$pid;                          # as a terminal does
    is(end_of_demo(), 1, 'it has failed');
    like(output(), qr/\n\nInterrupted\.\n\z/, 'and says why');
    is(scalar processes(), 0, 'all have ended');
    is(scalar directories(), 0, 'nothing is left');
};

subtest 'to its end' => sub {
    plan(skip_all => 'TEST_CANARY_FLEET is not set')
        unless $ENV{TEST_CANARY_FLEET};

    start_demo();
    is(end_of_demo(), 0, 'it has succeeded') or diag(output());

    my @generations = output()
        =~ /^web\d: generation (\d+), all users on v2, v3 rolled back$/mg;

    is(scalar @generations, 3, 'all have done the same');
    is_deeply(\@generations, [ ($generations[0]) x 3 ], 'in one generation');
    like(output(), qr/^web3, while cut off, kept v2 at \d+ % /m, 'and web3');
    like(output(), qr/^Users sent \d+ requests and saw 0 errors\.$/m, 'users');
    is(scalar processes(), 0, 'all have ended');
    is(scalar directories(), 0, 'nothing is left');
};

done_testing();


sub start_demo() {
    $pid = fork() // die "fork: $!";
    return if $pid;

    setsid();
    $ENV{TMPDIR} = $dir;
    open STDOUT, '>', "$dir/output";
    open STDERR, '>&', \*STDOUT;
    exec "$root/tools/fleet-demo", $module, map { $_->[0] } @ports
        or POSIX::_exit(2);
}


# Its exit status.

sub end_of_demo() {
    wait_for(sub { waitpid($pid, WNOHANG) }, 300, 'its end');
    undef $pid;

    return $? >> 8;
}


sub output() {
    open my $file, '<', "$dir/output" or return '';
    local $/;

    return readline($file) // '';
}


# Those that have a file open in the directory, as their logs and that output.

sub processes() {
    my %found;

    for my $link (glob '/proc/[0-9]*/{cwd,fd/*}') {
        my $to = readlink($link) // next;
        $found{ (split m{/}, $link)[2] } = 1 if $to =~ m{^\Q$dir\E/};
    }

    return keys %found;
}


sub directories() {
    my @found = glob "$dir/nginx-canary-*";

    return @found;
}
