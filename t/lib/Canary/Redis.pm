package Canary::Redis;

=head1 NAME

Canary::Redis - a redis-server of the test's own

=head1 SYNOPSIS

    needs('redis-server');

    my $redis = Canary::Redis->new($dir);
    $redis->call(HSET => 'key', field => 'value');
    my $version = $redis->call(HGET => 'key', 'field');

=head1 DESCRIPTION

It listens on a unix socket in the directory, socket(), and keeps nothing on
the disk, unless other settings of redis.conf are given: new($dir, port => n,
appendonly => 'yes'). It ends with the object; kill() and start() are what
their names say.

call() returns what the command does: a text, a number, undef, or a list's
array; it dies of an error, with Redis' words.

The program is redis-server, or what the environment variable
TEST_CANARY_REDIS names, such as the valkey-server of someone else.

=cut

use v5.36;

use Carp qw(croak);
use IO::Socket::UNIX;
use Socket qw(SOCK_STREAM);

use Canary::Util qw(fork_child patience wait_for);


sub program() {
    return $ENV{TEST_CANARY_REDIS} || 'redis-server';
}


sub new($class, $dir, %settings) {
    my $self = bless {
        dir => $dir,
        owner => $$,
        settings => {
            appendonly => 'no', dir => $dir, logfile => "$dir/redis.log",
            port => 0, save => '', unixsocket => "$dir/redis.sock",
            %settings,
        },
    }, $class;

    $self->start;

    return $self;
}


sub socket($self) {
    return $self->{settings}{unixsocket};
}


sub pid($self) {
    return $self->{pid};
}


sub start($self) {
    my %settings = %{ $self->{settings} };

    unlink $self->socket;

    $self->{pid} = fork_child(sub () {
        exec program(), map { ("--$_", $settings{$_}) } sort keys %settings
            or die program() . ": $!\n";
    });

    wait_for(sub { eval { $self->call('PING') } }, 20, 'redis-server');

    return;
}


sub kill($self, $signal = 'KILL') {
    my $pid = delete $self->{pid} // return;

    delete $self->{connection};
    CORE::kill($signal, $pid);
    waitpid $pid, 0;

    return;
}


sub DESTROY($self) {
    return if $$ != $self->{owner};

    local ($?, $!);
    $self->kill;

    return;
}


sub call($self, @words) {
    my $connection = $self->{connection} //= IO::Socket::UNIX->new(
        Type => SOCK_STREAM, Peer => $self->socket)
        // croak $self->socket . ": $!";

    local $SIG{ALRM} = sub { croak "no answer to $words[0]" };
    local $SIG{PIPE} = 'IGNORE';
    alarm patience(10);

    my $answer = eval {
        print {$connection} '*' . @words . "\r\n",
            map { '$' . length($_) . "\r\n$_\r\n" } @words
            or die "$!\n";
        $connection->flush;
        _read($connection);
    };

    my $error = $@;
    alarm 0;

    if ($error ne '') {
        delete $self->{connection} unless $error =~ /^[A-Z]+ /;
        croak $error =~ s/\n\z//r;
    }

    return $answer;
}


# A line says what follows: +text, -error, :number, $length or *length.

sub _read($connection) {
    my $line = readline $connection;
    die "the connection is closed\n" unless defined $line;

    my ($type, $value) = $line =~ /\A([-+:\$*])(.*)\r\n\z/
        or die "not an answer: $line\n";

    return $value if $type eq '+' || $type eq ':';
    die "$value\n" if $type eq '-';
    return undef if $value < 0;

    if ($type eq '*') {
        my @failed;
        my @list = map { my $item = eval { _read($connection) };
                         push @failed, $@ if $@ ne ''; $item } 1 .. $value;
        die $failed[0] if @failed;
        return \@list;
    }

    my $got = read $connection, my $text, $value + 2;
    die "the connection is closed\n" unless $got && $got == $value + 2;

    return substr $text, 0, $value;
}


1;
