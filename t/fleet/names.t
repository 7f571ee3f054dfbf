#!/usr/bin/perl

# Where Redis is: by a name that is looked up again at each connect, as that of
# a managed one which fails over by DNS; by an address of IPv6.

use v5.36;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Socket::INET;
use IO::Socket::IP;
use Test::More;

use Canary::Fleet;
use Canary::Redis;
use Canary::Test;
use Canary::Util qw(fork_child reserve_port wait_for);

needs('hiredis', 'redis-server', 'processes');

plan(skip_all => 'TEST_CANARY_FLEET is not set')
    unless $ENV{TEST_CANARY_FLEET};

my ($port, $guard) = reserve_port();
my %address = map { $_ => "redis://redis.test:$port" } qw(a b);
my $fleet = Canary::Fleet->new(qw(a b), {
    redis => { port => $port, bind => '127.0.0.1' },
    address => \%address,
});
my ($a, $b) = $fleet->nodes;

mkdir $b->dir . '/other';
my $other = Canary::Redis->new($b->dir . '/other', port => $port,
                               bind => '127.0.0.2');

# Its answers are of the address that is in the file.

my $file = $a->dir . '/address';
my $dns = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp')
    or die "no socket: $!";
my $resolver = fork_child(\&answer);

says('127.0.0.1');
for my $name (qw(a b)) {
    my $config = $fleet->config($name, fleet => 'resolve');

    $fleet->node($name)->start('resolver 127.0.0.1:' . $dns->sockport
                               . " valid=1s ipv6=off;\n$config");
    $fleet->wait_state($name, qr/"\Q$name\E" joined/);
}

subtest 'another address of the name' => sub {
    wait_for(sub { eval { $a->start_rollout('ep') } }, 20, 'a rollout');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at both');
    says('127.0.0.2');
    $fleet->redis->kill;
    $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{fleet}{reached}
            && redis_of($node) eq "127.0.0.2:$port"
    }, 'both to be there');
    is($_->endpoint('ep')->{weight}, 0.5, 'all is as it was') for $a, $b;
    is($b->verb('ep', 'rollback')->{phase}, 'idle', 'rolled back');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{phase} eq 'idle' });
};

subtest 'IPv6' => sub {
    my $free = IO::Socket::IP->new(LocalHost => '::1', LocalPort => $port,
                                   Listen => 1, ReuseAddr => 1)
        or plan(skip_all => "no ::1: $!");

    close $free;
    mkdir $a->dir . '/six';

    my $six = Canary::Redis->new($a->dir . '/six', port => $port,
                                 bind => '::1');

    $address{$_} = "redis://[::1]:$port" for qw(a b);
    $fleet->node($_)->reload($fleet->config($_), gone => 1) for qw(a b);
    $fleet->wait_all(sub ($node) {
        $node->endpoint('ep')->{fleet}{reached}
            && redis_of($node) eq "[::1]:$port"
    }, 'both to be there');
    wait_for(sub { eval { $b->start_rollout('ep') } }, 20, 'a rollout');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 },
                     'the rollout at both');
    pass('they meet there');
};

kill KILL => $resolver;
waitpid $resolver, 0;
$fleet->finish;


sub says($address) {
    $a->write_file('address.tmp', $address);
    rename "$file.tmp", $file or die "$file: $!";

    return;
}


# A question of one name is answered with one address, for a second.

sub answer() {
    while (defined $dns->recv(my $query, 512)) {
        open my $in, '<', $file or die "$file: $!";

        my $question = substr($query, 12) =~ s/\0\K(....).*/$1/sr;
        my $header = substr($query, 0, 2) . pack('n5', 0x8180, 1, 1, 0, 0);

        $dns->send($header . $question
                   . pack('n3 N n C4', 0xc00c, 1, 1, 1, 4,
                          split /\./, readline $in));
    }
}


sub redis_of($node) {
    return $node->api_get('fleet')->json->{redis}{address};
}
