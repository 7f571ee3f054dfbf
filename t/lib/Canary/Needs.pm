package Canary::Needs;

=head1 NAME

Canary::Needs - what a test needs, and is not everywhere

=head1 SYNOPSIS

    needs('processes', 'faults');

    skip(lacks('root'), 1) if lacks('root');

=head1 DESCRIPTION

needs() skips the file, or the subtest, with the reason, unless there is all of
that; lacks() returns the reason, or nothing.

    processes   a master, a helper and several workers. make valgrind runs a
                file twice where it needs that in some place and not speed:
                with master_process off, and with a master
    speed       nginx out of valgrind, in which it takes too long
    memory      memory that neither valgrind nor a sanitizer has its hands in
    faults      the library of faults, preloaded: faults_library()
    stores      the module whose stores are counted: stores_dir()
    module      a module that is loaded, and no part of nginx
    hiredis     a module that was built with it, and knows fleets
    debug       nginx --with-debug
    http_NAME   that module of nginx, and of no other name
    1.29.6      that version of nginx, or a newer one
    root, user  to be root; not to be root
    mounts      to mount what others do not see
    browser     what drives a browser: build/browser
    terminal    pseudo terminals
    A::B        that module of Perl
    curl, jq, openssl, prlimit, prometheus, promtool, redis-server
                that program

=cut

use v5.36;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use Test::More ();

use Canary::Nginx;

our @EXPORT = qw(faults_library lacks needs stores_dir);

my $root = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));
my $nginx = Canary::Nginx->of($ENV{TEST_NGINX_BINARY} // 'nginx');

use constant PRELOADS => 'not with a sanitizer, which has to be loaded first';

my %lacks = (
    processes => sub () {
        return Canary::Nginx->has_processes ? ()
            : 'no master and no second worker';
    },
    speed => sub () {
        return $ENV{TEST_CANARY_VALGRIND} ? 'too slow in valgrind' : ();
    },
    memory => sub () {
        return $ENV{TEST_CANARY_VALGRIND} || $ENV{ASAN_OPTIONS}
            ? 'memory is another thing in valgrind, or with a sanitizer' : ();
    },
    faults => sub () { return _lacks_file(faults_library()) },
    stores => sub () {
        return _lacks_file(stores_dir() . '/ngx_http_canary_module.so');
    },
    module => sub () {
        return ($ENV{TEST_CANARY_MODULE} // 'one') eq ''
            ? 'the module is part of nginx' : ();
    },
    hiredis => sub () { return _lacks_hiredis() },
    debug => sub () {
        return $nginx->has_debug ? () : 'nginx without --with-debug';
    },
    mounts => sub () {
        return system('unshare -m true 2>/dev/null') == 0
            ? () : 'no mounts of its own here';
    },
    root => sub () { return $> == 0 ? () : 'only root can do that' },
    user => sub () { return $> == 0 ? 'root may do everything' : () },
    browser => sub () {
        my $dir = "$root/build/browser/node_modules";

        return -d "$dir/playwright-core" ? ()
            : "npm ci put nothing into $dir: make test says why";
    },
    terminal => sub () {
        return -c '/dev/ptmx' && eval { require IO::Pty; IO::Pty->new } ? ()
            : 'no pseudo terminals here';
    },
    'redis-server' => sub () {
        return _lacks_program($ENV{TEST_CANARY_REDIS} || 'redis-server');
    },
    map { my $program = $_; $program => sub () { _lacks_program($program) } }
        qw(curl jq openssl prlimit prometheus promtool),
);


sub lacks(@needs) {
    for my $need (@needs) {
        my $reason = $lacks{$need} ? $lacks{$need}->()
            : $need =~ /^http_\w+$/ ? _lacks_module($need)
            : $need =~ /^\d+\.\d+\.\d+$/ ? _lacks_version($need)
            : $need =~ /^\w+::[\w:]+$/ ? _lacks_perl($need)
            : croak "what is '$need'?";

        return $reason if defined $reason;
    }

    return;
}


sub needs(@needs) {
    my $reason = lacks(@needs);

    Test::More::plan(skip_all => $reason) if defined $reason;

    return;
}


sub faults_library() {
    return $ENV{TEST_CANARY_FAULTS} // "$root/build/faults/faults.so";
}


sub stores_dir() {
    return $ENV{TEST_CANARY_STORES}
        // ($ENV{TEST_NGINX_BINARY} ? '' : "$root/build/kills");
}


sub _lacks_file($file) {
    return PRELOADS if $ENV{ASAN_OPTIONS};

    return -e $file ? undef : "no $file: make test builds it";
}


sub _lacks_module($name) {
    return $nginx->has($name) ? undef : "nginx without $name";
}


sub _lacks_version($version) {
    my ($major, $minor, $patch) = split /\./, $version;

    return $nginx->version >= $major * 1_000_000 + $minor * 1_000 + $patch
        ? undef : "not before nginx $version";
}


sub _lacks_program($program) {
    return system("command -v $program >/dev/null 2>&1")
        ? "no $program" : ();
}


# What says that canary_fleet is not there is in the module, or it is not.

sub _lacks_hiredis() {
    my $module = $ENV{TEST_CANARY_MODULE}
        // "$root/build/ngx_http_canary_module.so";
    my $file = $module ne '' ? $module
        : `command -v \Q${\ ($ENV{TEST_NGINX_BINARY} // 'nginx')}\E`;

    chomp $file;
    open my $in, '<:raw', $file or return "no $file";
    local $/;

    return <$in> =~ /needs the module to be built with hiredis/
        ? 'built without hiredis: no fleet' : undef;
}


sub _lacks_perl($module) {
    return eval "require $module" ? undef : "no $module";
}


1;
