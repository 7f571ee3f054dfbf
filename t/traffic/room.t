#!/usr/bin/perl

# What nginx has yet to give to the client it keeps in a file. That there is
# none, or no room in it, is no failure of the release, nor has the client
# left; and what the release does wrong is its failure, room or not.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use Test::More;

use Canary::Test;

use constant {
    LARGE => 12_000_000,    # more than sockets and buffers take
    EDQUOT => 122,
};

my @counters = qw(2xx failed abandoned aborted);
my $cgi = !lacks('http_fastcgi');
my @kinds = ('proxy', 'chunked', 'cache', $cgi ? 'fastcgi' : ());

my $http = <<'EOC';
    upstream model_v1 { server 127.0.0.1:%%PORT_v1%% max_fails=0; }
    upstream cgi_v1   { server 127.0.0.1:%%PORT_cgi%% max_fails=0; }

    upstream ep  { canary_release v1 model_v1; }
    upstream cgi { canary_release v1 cgi_v1; }

    proxy_cache_path %%DIR%%/quota/cache keys_zone=c:1m use_temp_path=off;

    proxy_http_version      1.1;
    proxy_buffers           2 4k;
    proxy_buffer_size       4k;
    proxy_busy_buffers_size 4k;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        proxy_temp_path %%DIR%%/quota/proxy 1;

        location / { proxy_pass http://ep; }
        location /cache {
            proxy_cache c;
            proxy_cache_valid 1h;
            proxy_pass http://ep;
        }
        %%FASTCGI%%
    }

    %%API%%
EOC

my $fastcgi = !$cgi ? '' : <<'EOC';
        location /fastcgi {
            fastcgi_temp_path         %%DIR%%/quota/fastcgi 1;
            fastcgi_buffers           2 4k;
            fastcgi_buffer_size       4k;
            fastcgi_busy_buffers_size 4k;
            fastcgi_pass cgi;
        }
EOC

$http =~ s/%%FASTCGI%%/$fastcgi/;


subtest 'there is no such directory' => sub {
    my $t = started();

    $t->allow_log(qr/No such file or directory/);
    remove_tree(map { $t->dir . "/quota/$_" } qw(proxy cache fastcgi));
    is_kept($t, $_, { '2xx' => 1 }) for @kinds;
    $t->finish;
};

subtest 'the disk is full' => sub {
    needs('root', 'mounts');
    plan(skip_all => 'mounts, in valgrind') if $ENV{TEST_CANARY_VALGRIND};

    my $dir = tempdir('canary-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';

    local $ENV{TEST_NGINX_BINARY} = small_disk($dir, $nginx);
    my $t = Canary::Test->new(workers => 1);
    symlink $dir, $t->dir . '/quota' or die "symlink: $!";
    $t = started($t);

    $t->allow_log(qr/No space left on device|has written only/);
    is_kept($t, $_, { '2xx' => 1 }) for @kinds;
    like($t->error_log, qr/\(28: No space left|has written only/,
         'it is full');
    $t->finish;
};

subtest 'a quota is reached' => sub {
    needs('faults', 'speed');

    my $t = Canary::Test->new(workers => 1);
    my $faults = $t->dir . '/faults';

    local $ENV{LD_PRELOAD} = faults_library();
    local $ENV{CANARY_FAULTS} = $faults;

    $t = started($t);
    $t->write_file('faults', 'quota ' . EDQUOT . " 0\n");
    $t->allow_log(qr/Disk quota exceeded/);
    is_kept($t, $_, { '2xx' => 1 }) for @kinds;
    unlink $faults;
    is_kept($t, $_, { '2xx' => 1, failed => 1 }, 1)
        for @kinds[1 .. $#kinds];
    $t->finish;
};

subtest 'there are no descriptors' => sub {
    needs('processes', 'prlimit');

    my $t = started();
    my ($worker) = $t->worker_pids;

    $t->allow_log(qr/\(24: Too many open files\)/);

    # A cache wants one before it asks the release.

    for my $kind (grep { $_ ne 'cache' } @kinds) {
        my ($before, $client);
        my $large = behave($t, $kind);

        # Room for the connection to the release, and for nothing else; what
        # was still open when it was looked for may be closed since.

        $t->wait_for(sub {
            $large->next_requests(1, body => 'x');
            $client = $t->client;
            $client->get(uri($kind) . '/small');
            $before = counted($t, $kind);
            limit($worker, last_free($worker, 2));
            $client->start(uri => uri($kind));
            my $broken = eval {
                $t->wait_for(sub {
                    my $log = $t->read_file('error.log');
                    my $failed = $log =~ /quota.*\(24: Too many/;
                    $t->write_file('error.log', '')
                        if $failed || $log =~ /buffered to a temporary/;
                    return $log =~ /buffered to a temporary/ ? 'no'
                        : $failed && 'yes';
                }, 20);
            } // 'no';
            limit($worker, 1024);
            $client->close if $broken eq 'no';
            return $broken eq 'yes';
        }, 120, 'a file that cannot be opened');

        is_since($t, $kind, $before, { '2xx' => 1 }, $kind);
        $client->close;
    }
    $t->finish;
};

subtest 'there is room, and the release breaks off' => sub {
    my $t = started();

    for my $kind (@kinds[1 .. $#kinds]) {
        is_kept($t, $kind, { '2xx' => 1, failed => 1 }, 1);
    }
    $t->finish;
};

done_testing();


sub started($t = Canary::Test->new(workers => 1)) {
    my $dir = $t->dir . '/quota';

    $t->{servers} = {
        ep  => $t->backend('v1'),
        cgi => $t->backend('cgi', protocol => 'fastcgi'),
    };
    -d $dir or mkdir $dir or die "$dir: $!";
    $t->start($http);

    return $t;
}


# nginx with a small file system of its own at that place.

sub small_disk($dir, $nginx) {
    my $program = "$dir.sh";

    open my $out, '>', $program or die "$program: $!";
    print $out <<~"EOC";
        #!/bin/sh
        [ "\$1" = -V ] && exec $nginx -V
        exec unshare -m sh -c 'mount -t tmpfs -o size=256k none $dir && exec $nginx "\$@"' sh "\$@"
        EOC
    close $out or die "$program: $!";
    chmod 0755, $program;

    return $program;
}


sub endpoint($kind) { return $kind eq 'fastcgi' ? 'cgi' : 'ep' }
sub uri($kind) { return "/$kind" }


# A large body, of which the end is bad if that is asked for.

sub behave($t, $kind, $bad = 0) {
    my $server = $t->{servers}{ endpoint($kind) };

    return $server->set(
        body_size => LARGE, chunked => $kind ne 'proxy',
        mode => !$bad ? 'answer' : $kind eq 'fastcgi' ? 'bad_record'
                                 : 'bad_chunk');
}


# A client that does not read.

sub is_kept($t, $kind, $expected, $bad = 0) {
    behave($t, $kind, $bad);

    my $before = counted($t, $kind);
    my $client = $t->client->start(uri => uri($kind));

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is_since($t, $kind, $before, $expected, $kind . ($bad ? ', bad' : ''));
    $client->close;

    return;
}


sub counted($t, $kind) {
    my $release = $t->release(endpoint($kind), 'v1');

    return { '2xx' => $release->{responses}{'2xx'},
             map { $_ => $release->{$_} } @counters[1 .. $#counters] };
}


# Counters that have risen, and by how much, when the attempt has ended.

sub is_since($t, $kind, $before, $expected, $what) {
    my $got;

    eval {
        $t->wait_for(sub {
            my $now = counted($t, $kind);

            $got = { map { $_ => $now->{$_} - $before->{$_} }
                     grep { $now->{$_} != $before->{$_} } @counters };

            return $t->{servers}{ endpoint($kind) }->stats->{open} == 0
                && text($got) eq text($expected);
        }, 20);
    };

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply($got, $expected, $what);
}


sub text($counters) {
    return join ' ', map { $_ . ($counters->{$_} // 0) } @counters;
}


sub limit($pid, $n) {
    return system('prlimit', "--nofile=$n:", '--pid', $pid) == 0
        || die "prlimit: $?";
}


# The nth descriptor that is free: below it there are n - 1.

sub last_free($pid, $n) {
    my $fd = -1;

    while ($n) {
        $n-- if !-l "/proc/$pid/fd/" . ++$fd;
    }

    return $fd;
}
