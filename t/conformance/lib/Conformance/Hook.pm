package Conformance::Hook;

# Loaded into each test of nginx's suite before it runs: whatever configuration
# it writes, at its start or for a reload, is put behind endpoints on the way.
#
# From the environment: CONFORMANCE_MODE (stock, loaded: left as it is);
# CONFORMANCE_KEEPS, if this nginx keeps connections to an upstream that is
# declared, and to others not.

use v5.36;

use IO::Socket::UNIX;
use JSON::PP ();

use Conformance::Config qw(behind_endpoints);

use constant ANSWER_TIMEOUT => 60;

my $mode = $ENV{CONFORMANCE_MODE};
my %endpoints;    # by directory of the test
my %written;      # by path: what the test has written

require Test::Nginx;    # that of the suite

unless ($mode eq 'stock' || $mode eq 'loaded') {
    no warnings qw(prototype redefine);

    my ($read_file, $write_file, $run) = (\&Test::Nginx::read_file,
        \&Test::Nginx::write_file, \&Test::Nginx::run);

    *Test::Nginx::write_file = sub ($self, $name, $content) {
        if ($name =~ /\.conf$/) {
            $written{ $self->testdir . "/$name" } = $content;
            $content = _rewrite($self->testdir, $name, $content);
        }

        return $write_file->($self, $name, $content);
    };

    # To change it for a reload.
    *Test::Nginx::read_file = sub ($self, $name) {
        return $written{ $self->testdir . "/$name" }
            // $read_file->($self, $name);
    };

    *Test::Nginx::run = sub ($self, @conf) {
        $run->($self, @conf);
        _start($self->testdir) if $mode eq 'rollout';

        return $self;
    };
}


sub _rewrite($dir, $name, $content) {
    my ($text, @names) = behind_endpoints($content, $mode,
        server => 'canary_state_path canary; '
            . ($mode eq 'rollout' ? _server($dir) : ''),
        alone  => $ENV{CONFORMANCE_KEEPS} ? 'keepalive 0;' : '');

    $endpoints{$dir} = \@names if $name eq 'nginx.conf';

    return @names ? $text : $content;
}


sub _server($dir) {
    return "server { listen unix:$dir/canary.sock; access_log off;"
        . ' location /canary/ { canary_api write=on; } }';
}


# All of each endpoint's requests go to its canary from then on; 409 says that
# they do already, if the test has started nginx before.

sub _start($dir) {
    my $body = JSON::PP->new->encode({
        strategy => 'canary',
        canary_strategy => {
            progress_interval_seconds => 3600,
            progress_steps => [1],
            bake_seconds => 3600,
            rules => [ {
                rule => 'failed_requests_max',
                rule_parameters => [ { name => 'threshold',
                                       value => 1_000_000 } ],
            } ],
        },
    });

    for my $name (@{ $endpoints{$dir} // [] }) {
        my $answer = _post($dir, "/canary/endpoints/$name/rollout", $body);

        die "no rollout of $name: $answer" if $answer !~ m{^HTTP/1\.1 (?:201|409) };
    }

    return;
}


sub _post($dir, $uri, $body) {
    local $SIG{ALRM} = sub ($name) { die "no answer of $uri\n" };
    alarm ANSWER_TIMEOUT;

    my $socket = IO::Socket::UNIX->new(Peer => "$dir/canary.sock")
        or die "canary.sock: $!";

    print $socket "POST $uri HTTP/1.1\r\nHost: canary\r\nConnection: close\r\n",
        "Content-Type: application/json\r\n",
        'Content-Length: ', length $body, "\r\n\r\n", $body;

    my $answer = do { local $/; <$socket> };
    alarm 0;

    return $answer // '';
}


1;
