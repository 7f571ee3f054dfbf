package Chaos::Operator;

# People and pipelines: one process that does what the API offers, at any node,
# whatever state that is in, and writes down each request and its answer, a
# line of JSON each:
#
#   { begun, ended: seconds of the monotonic clock; node, method, verb, match
#     (If-Match, or null), weight (of a PATCH, or of the first step; no other
#     request ever has it), steps, status (0: no answer), etag, durable, body }

use v5.36;

use JSON::PP ();

use Canary::Admin qw(rule);
use Canary::Client;
use Canary::Util qw(fork_child now pause);

use constant {
    TIMEOUT => 3,                  # s of a quiet machine, for an answer
    PACES   => [ 0.3, 1, 3, 8 ],   # s at most between two requests,
    LASTS   => 12,                 # and how long it is so, for all operators
};

my $json = JSON::PP->new->utf8->canonical;

my %does = (
    idle        => [qw(start start start start direct)],
    progressing => [qw(advance advance patch patch pause promote rollback)],
    baking      => [qw(advance pause promote rollback)],
    paused      => [qw(resume resume advance patch promote rollback)],
    halted      => [qw(resume advance patch promote rollback)],
);


# Node names and their ports of the API; the one of so many that this is.

sub new($class, %arg) {
    my $self = bless { %arg, count => 0, tags => [] }, $class;

    $self->{pid} = fork_child(sub () {
        my $stopping;

        local $SIG{TERM} = sub { $stopping = 1 };
        srand $self->{seed} * 16 + $self->{number};
        open $self->{out}, '>>', $self->{file} or die "$self->{file}: $!";

        until ($stopping) {
            $self->_act;
            $self->_rest(\$stopping);
        }
        close $self->{out} or die "$self->{file}: $!";
    });

    return $self;
}


sub stop($self) {
    my $pid = delete $self->{pid} // return;

    kill TERM => $pid;
    waitpid $pid, 0;

    return $?;
}


# Now there is much to do, now there is little.

sub _rest($self, $stopping) {
    my $slot = int(now() / LASTS);
    my $pace = PACES->[ ($self->{seed} + $slot * 7) % @{ PACES() } ];
    my $until = now() + rand $pace;

    pause(0.05) until $$stopping || now() >= $until
        || int(now() / LASTS) != $slot;

    return;
}


sub _act($self) {
    my @names = sort keys %{ $self->{ports} };
    my $name = $names[ rand @names ];
    my $seen = $self->_ask($name, GET => '');

    return if $seen->status != 200;

    my $endpoint = $seen->json;
    my $phase = $endpoint->{phase};
    my @verbs = rand() < 0.1 ? map { @$_ } @does{ sort keys %does }
        : @{ $does{$phase} };
    my $verb = $verbs[ rand @verbs ];
    my $tags = $self->{tags};

    push @$tags, $seen->header('ETag');
    shift @$tags if @$tags > 3;

    my $match = rand() < 0.3 ? $tags->[ rand @$tags ] : undef;

    $name = $names[ rand @names ] if rand() < 0.3;
    $self->_write($name, $verb, $match, $endpoint);

    return;
}


sub _write($self, $name, $verb, $match, $endpoint) {
    my %what = (node => $name, verb => $verb, match => $match);
    my ($method, $path, $body) = (POST => "/rollout/$verb", {});

    if ($verb eq 'start') {
        ($path, $body) = ('/rollout', $self->_start($endpoint));
        $what{steps} = $body->{canary_strategy}{progress_steps};
        $what{weight} = $what{steps}[0];

    } elsif ($verb eq 'direct') {
        ($path, $body) = ('/rollout', { strategy => 'direct',
                                        release => _another($endpoint) });

    } elsif ($verb eq 'patch') {
        $what{weight} = $self->_weight(0.1, 0.9);
        ($method, $path, $body) =
            (PATCH => '/rollout', { weight => $what{weight} });
    }

    $what{begun} = now();
    my $response = $self->_ask($name, $method, $path, $body, $match);
    $what{ended} = now();

    $what{status} = $response->status;
    $what{status} = 0 if $response->error;
    $what{error} = $response->error;
    $what{etag} = $response->header('ETag');
    $what{body} = $response->body;
    $what{durable} = $response->body =~ /"durable":false/ ? 0 : 1;

    syswrite $self->{out}, $json->encode(\%what) . "\n";

    return;
}


# A ratio of so many millionths that no other one is the same.

sub _weight($self, $from, $to) {
    my $number = ($self->{count}++ * $self->{of} + $self->{number}) % 1000;
    my $thousands = int(1000 * ($from + rand($to - $from)));

    return ($thousands * 1000 + $number) / 1_000_000;
}


sub _start($self, $endpoint) {
    my $auto = rand() < 0.5;
    my $first = $self->_weight(0.05, 0.2);

    return {
        release         => _another($endpoint),
        strategy        => 'canary',
        canary_strategy => {
            progress_interval_seconds => $auto ? 0.5 : 3600,
            progress_steps => [ $first, map { $_ / 10 } 3 .. 9 ],
            bake_seconds   => $auto ? 0.5 : 3600,
            on_violation   => rand() < 0.2 ? 'halt' : 'rollback',
            on_undecided   => $auto ? 'advance' : 'hold',
            rules          => [
                rule(error_5xx_rate => 0.2),
                rule(failed_requests_max => 100_000),
            ],
        },
    };
}


sub _another($endpoint) {
    my @other = grep { $_ ne $endpoint->{stable} }
        map { $_->{name} } @{ $endpoint->{releases} };

    return $other[ rand @other ];
}


sub _ask($self, $name, $method, $path, $body = undef, $match = undef) {
    my %headers = ('Content-Type' => 'application/json');

    $headers{'If-Match'} = $match if defined $match;

    return Canary::Client->new($self->{ports}{$name})->request(
        method  => $method,
        uri     => "/canary/endpoints/ep$path",
        timeout => TIMEOUT,
        close   => 1,
        defined $body ? (body => $json->encode($body), headers => \%headers)
            : (),
    );
}


1;
