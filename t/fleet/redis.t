#!/usr/bin/perl

# The connection to Redis: addresses, TLS, passwords, and servers that refuse.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use Test::More;

use Canary::Redis;
use Canary::Test;
use Canary::Util qw(fork_child reserve_port wait_for);

needs('hiredis', 'redis-server', 'openssl');

my $t = Canary::Test->new(workers => 1, timeout => 600);
my $dir = $t->dir;
my ($port, $port_guard) = reserve_port();
my ($tls_port, $tls_guard) = reserve_port();

$t->backend('v1');
certificates();
secret('sesame');

# The ACL is that of the documentation.

my $redis = Canary::Redis->new(
    $dir,
    port => $port, 'tls-port' => $tls_port, bind => '127.0.0.1',
    'tls-cert-file' => "$dir/redis.pem", 'tls-key-file' => "$dir/redis.key",
    'tls-ca-cert-file' => "$dir/ca.pem", 'tls-auth-clients' => 'optional');

$redis->call(ACL => SETUSER => canary => on => '>sesame', 'resetchannels',
             '~canary:{shop}:*', map { "+$_" } qw(
                 eval evalsha auth time hget hset hdel hmget hexists hlen
                 hkeys hgetall hincrby hsetnx zadd zrangebyscore zrevrange
                 zscore xadd xrange xrevrange pexpire set get select));

sub config($address, $more = '') {
    return <<~EOC;
        canary_fleet shop $address node=a $more;
        upstream one { server 127.0.0.1:%%PORT_v1%%; }
        upstream ep { canary_release v1 one; canary_release v2 one; }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        %%API%%
        EOC
}

# What the log says after a start with this address.

sub says($name, $pattern, @config) {
    $t->write_file('error.log', '');
    $t->start(config(@config));
    my $said = eval {
        wait_for(sub { $t->error_log =~ $pattern }, 10, 'the log');
    };
    ok($said, $name)
        or diag(join "\n", grep { /canary|SSL/ } split /\n/, $t->error_log);
    $t->stop;

    return;
}

my $joined = qr/fleet "shop": "a" joined/;
my $acl = 'password_file=sesame';
my $tls = 'trusted_certificate=ca.pem';

says('a socket', $joined, 'unix:' . $redis->socket);
says('an address', $joined, "redis://127.0.0.1:$port");
says('another database', $joined, "redis://127.0.0.1:$port/3");
is($redis->call(EXISTS => 'canary:{shop}:rec'), 1, 'data are in 0');
says('a user', $joined, "redis://canary\@127.0.0.1:$port", $acl);
says('the next address, if one is dead', $joined,
     "redis://127.0.0.1:1,127.0.0.1:$port");

secret('wrong');
says('a wrong password', qr/Redis of the fleet .*it says: WRONGPASS/,
     "redis://canary\@127.0.0.1:$port", 'password_file=wrong');

# TLS: the certificate is of redis.example and 127.0.0.1.

says('TLS, an address', $joined, "rediss://127.0.0.1:$tls_port", $tls);
says('TLS, a name', $joined, "rediss://127.0.0.1:$tls_port",
     "$tls server_name=redis.example");
says('TLS, the password', $joined, "rediss://canary\@127.0.0.1:$tls_port",
     "$tls $acl");
says('TLS, another name', qr/its certificate is not of "other\.example"/,
     "rediss://127.0.0.1:$tls_port", "$tls server_name=other.example");
says('TLS, another authority',
     qr/its certificate cannot be verified: self-signed/,
     "rediss://127.0.0.1:$tls_port", 'trusted_certificate=other.pem');
$redis->call(CONFIG => SET => 'tls-auth-clients' => 'yes');
says('TLS, with a certificate', $joined, "rediss://127.0.0.1:$tls_port",
     "$tls certificate=redis.pem certificate_key=redis.key");
$redis->call(CONFIG => SET => 'tls-auth-clients' => 'optional');

# Servers that are none, or not the master, with the right one behind them.

for my $case (
    [ READONLY => "-READONLY You can't write against a read only replica." ],
    [ LOADING => '-LOADING Redis is loading the dataset in memory' ],
    [ MASTERDOWN => '-MASTERDOWN Link with MASTER is down' ],
    [ MOVED => "-MOVED 12182 127.0.0.1:$port" ],
) {
    my ($name, $answer) = @$case;
    my ($server, $server_port) = server("$answer\r\n");

    says($name, $joined, "redis://127.0.0.1:$server_port"
         . ($name eq 'MOVED' ? '' : ",127.0.0.1:$port"));
    kill KILL => $server;
    waitpid $server, 0;
}

for my $case (
    [ 'an endless list', "*2000000000\r\n",
      qr/an answer of more than 65536 elements/ ],
    [ 'lists in lists', "*1\r\n" x 9, qr/levels|nested/ ],
    [ 'what is no answer', "HTTP/1.1 400 Bad Request\r\n\r\n",
      qr/Protocol error/ ],
    [ 'another answer', "+OK\r\n", qr/the answer to join makes no sense/ ],
    [ 'two answers', "*2\r\n\$2\r\nOK\r\n:1\r\n" x 2, qr/no sense|nobody/ ],
) {
    my ($name, $answer, $pattern) = @$case;
    my ($server, $server_port) = server($answer);

    says($name, $pattern, "redis://127.0.0.1:$server_port");
    kill KILL => $server;
    waitpid $server, 0;
}

my ($silent, $silent_port) = server('');
says('no answer', qr/no answer in time/, "redis://127.0.0.1:$silent_port");
kill KILL => $silent;
waitpid $silent, 0;

subtest 'scripts that were forgotten are told again' => sub {
    $t->write_file('error.log', '');
    $t->start(config('unix:' . $redis->socket));
    wait_for(sub { $t->error_log =~ $joined }, 20, 'to join');
    $redis->call(SCRIPT => 'FLUSH');
    $redis->call(CONFIG => 'RESETSTAT');
    wait_for(sub {
        $redis->call(INFO => 'commandstats') =~ /cmdstat_evalsha:calls=(\d+)/
            && $1 > 5;
    }, 20, 'ticks');
    unlike($t->error_log, qr/isolated/, 'and nothing else happens');
};

$t->finish;


# Answers so whatever it is asked.

sub server($answer) {
    my $listener = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1,
                                         LocalAddr => '127.0.0.1')
        or die "listen: $!";
    my $pid = fork_child(sub () {
        my @open;

        while (my $client = $listener->accept) {
            push @open, $client;
            if (sysread $client, my $buffer, 65536) {
                syswrite $client, $answer if $answer ne '';
            }
        }
    });

    return ($pid, $listener->sockport);
}


sub secret($text) {
    $t->write_file($text, "$text\n");
    chmod 0600, "$dir/$text" or die "chmod: $!";

    return;
}


sub certificates() {
    my $key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

    $t->write_file('ext', "subjectAltName=DNS:redis.example,IP:127.0.0.1\n");
    for my $command (
        (map { "req -x509 $key -subj /CN=$_ -keyout $_.key -out $_.pem" }
             qw(ca other)),
        "req $key -subj /CN=redis -keyout redis.key -out redis.csr",
        'x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial '
            . '-extfile ext -out redis.pem',
    ) {
        system("cd $dir && openssl $command 2>/dev/null") == 0
            or die "openssl $command failed";
    }

    return;
}
