package Canary::Admin;

# The part of Canary::Test that talks to the admin API. Its methods are
# documented there.

use v5.36;

use Carp qw(croak);
use Exporter qw(import);
use JSON::PP ();
use List::Util qw(first);
use Test::More ();

use Canary::Util qw(now patience pause);

our @EXPORT_OK = qw(rule);

use constant TOTALS_WAIT => 5;

my $json = JSON::PP->new->utf8->canonical;


sub api($self, $method, $path, $body = undef, %request) {
    if (defined $body) {
        $request{body} = ref $body ? $json->encode($body) : $body;
        $request{headers} = { 'Content-Type' => 'application/json',
                              %{ $request{headers} // {} } };
    }

    return $self->request(port => 'api', method => $method,
                          uri => "/canary/$path", %request);
}


sub api_get($self, $path, %request) {
    return $self->api(GET => $path, undef, %request);
}


sub api_post($self, $path, $body = undef, %request) {
    return $self->api(POST => $path, $body, %request);
}


sub api_patch($self, $path, $body, %request) {
    return $self->api(PATCH => $path, $body, %request);
}


sub endpoint($self, $name) {
    return $self->_api_data("endpoints/$name");
}


sub release($self, $name, $release) {
    my $endpoint = $self->endpoint($name);
    my $found = first { $_->{name} eq $release } @{ $endpoint->{releases} };

    return $found // croak "endpoint $name has no release $release";
}


sub events($self, $name) {
    return @{ $self->_api_data("endpoints/$name/events")->{events} };
}


sub _api_data($self, $path) {
    return _done(200, $self->api_get($path));
}


sub rule($name, $threshold, %parameters) {
    my @parameters = map { { name => $_, value => $parameters{$_} } }
        sort keys %parameters;

    return {
        rule => $name,
        rule_parameters => [ { name => 'threshold', value => $threshold },
                             @parameters ],
    };
}


sub start_rollout($self, $name, %opt) {
    my %strategy = (
        progress_interval_seconds => $opt{interval} // 3600,
        progress_steps            => $opt{steps} // [0.5],
        bake_seconds              => $opt{bake} // 3600,
        rules => [ rule(failed_requests_max => 1_000_000) ],
    );
    my %body = (strategy => 'canary', canary_strategy => \%strategy);

    $strategy{rules} = $opt{rules} if exists $opt{rules};
    delete $strategy{rules} unless $strategy{rules};
    for my $key (qw(on_undecided on_violation approval)) {
        $strategy{$key} = $opt{$key} if defined $opt{$key};
    }
    $body{release} = $opt{release} if defined $opt{release};

    return $self->_change(201, api_post => "endpoints/$name/rollout", \%body);
}


sub verb($self, $name, $verb, $body = undef) {
    return $self->_change(200, api_post => "endpoints/$name/rollout/$verb",
                         $body);
}


sub set_weight($self, $name, $weight) {
    return $self->_change(200, api_patch => "endpoints/$name/rollout",
                         { weight => $weight });
}


# A disk that others keep busy may take longer than a write waits for it: that
# is refused, has changed nothing, and is asked for again.

sub _change($self, $status, $method, $path, $body) {
    my $deadline = now() + patience(30);
    my $response;

    do {
        $response = $self->$method($path, $body);
    } while ($response->status == 503 && now() < $deadline
             && $response->body =~ /not written within/);

    return _done($status, $response);
}


sub _done($status, $response) {
    return $response->json if $response->status == $status;
    croak 'the API refused: ', $response->error // $response->status, ' ',
        $response->body;
}


# Counters of a release.

sub totals($self, $name, $release) {
    my $data = $self->release($name, $release);
    my %totals = (
        %{ $data->{responses} },
        map { $_ => $data->{$_} }
            qw(attempts failed timeouts aborted abandoned no_live fallbacks),
    );

    delete @totals{ grep { !$totals{$_} } keys %totals };

    return \%totals;
}


sub is_totals($self, $name, $release, $expected, $test_name) {
    my $wanted = _counters($expected);
    my $deadline = now() + patience(TOTALS_WAIT);
    my $got;

    while (1) {
        $got = _counters($self->totals($name, $release));
        last if $got eq $wanted || now() > $deadline;
        pause(0.02);
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is($got, $wanted, $test_name);
}


sub _counters($totals) {
    return join ' ', map { "$_=$totals->{$_}" }
        grep { $totals->{$_} } sort keys %$totals;
}


1;
