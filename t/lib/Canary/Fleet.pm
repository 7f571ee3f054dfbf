package Canary::Fleet;

=head1 NAME

Canary::Fleet - several nginx that are one fleet, and their Redis

=head1 SYNOPSIS

    needs('hiredis', 'redis-server', 'processes');

    my $fleet = Canary::Fleet->new(qw(a b c));
    my $a = $fleet->node('a');

    $fleet->start;
    $a->start_rollout('ep');
    $fleet->wait_all(sub ($node) { $node->endpoint('ep')->{weight} == 0.5 });
    $fleet->finish;

=head1 DESCRIPTION

Each node is a L<Canary::Test> with a directory of its own, two backends v1 and
v2 that all nodes share, and the endpoint `ep`; what stands in `more` of new()
is added to it, and what stands in `fleet` to the directive.

=over

=item $fleet->start(@names), $fleet->node($name), $fleet->nodes, $fleet->redis

Starts these nodes, or all, and waits until they have joined.

=item $fleet->wait_all($condition, $what)

Until it holds at each node that runs. An error of it, as of a node that
refuses, is a no.

=item $fleet->wait_state($name, qr/joined/)

Until the log of a node has said so once more than when it was last asked.

=item $fleet->leader

The node that leads; waits until one does.

=item $fleet->finish

As that of Canary::Test, for all nodes.

=back

=cut

use v5.36;

use Carp qw(croak);
use Test::More ();

use Canary::Redis;
use Canary::Test;
use Canary::Util qw(wait_for);


sub new($class, @names) {
    my %opt = ref $names[-1] ? %{ pop @names } : ();
    my $self = bless { names => [@names], seen => {} }, $class;

    for my $name (@names) {
        $self->{node}{$name} = Canary::Test->new(workers => 1,
                                                 timeout => 600);
    }

    my $first = $self->{node}{ $names[0] };

    $self->{redis} = Canary::Redis->new($first->dir, %{ $opt{redis} // {} });
    $self->{backend}{v1} = $first->backend('v1');
    $self->{backend}{v2} = $first->backend('v2');
    $self->{opt} = \%opt;

    return $self;
}


sub redis($self) { return $self->{redis} }
sub node($self, $name) { return $self->{node}{$name} // croak "no $name" }
sub backend($self, $name) { return $self->{backend}{$name} }

sub nodes($self) {
    return map { $self->{node}{$_} } @{ $self->{names} };
}


sub running($self) {
    return grep { $_->{pid} } $self->nodes;
}


sub address($self, $name) {
    return ($self->{opt}{address} // {})->{$name}
        // 'unix:' . $self->redis->socket;
}


sub config($self, $name, %more) {
    my ($v1, $v2) = map { $self->backend($_)->port } qw(v1 v2);
    my $two = $more{two} // $v2;
    my $address = $self->address($name);
    my $node = $more{node} // $name;
    my $extra = $self->{opt}{more} // '';
    my $releases = $more{releases}
        // 'canary_release v1 one; canary_release v2 two;';
    my $fleet = "canary_fleet shop $address node=$node "
        . ($more{fleet} // $self->{opt}{fleet} // '') . ';';

    return <<~EOC;
        $fleet
        upstream one { server 127.0.0.1:$v1; }
        upstream two { server 127.0.0.1:$two; }
        upstream ep { $releases $extra }
        server {
            listen 127.0.0.1:%%PORT_http%%;
            location / { proxy_pass http://ep; }
        }
        %%API%%
        EOC
}


sub start($self, @names) {
    @names = @{ $self->{names} } unless @names;

    for my $name (@names) {
        $self->node($name)->start($self->config($name));
    }
    $self->wait_state($_, qr/\] .*"\Q$_\E" joined/) for @names;

    return $self;
}


sub wait_state($self, $name, $pattern) {
    my $seen = \$self->{seen}{$name}{$pattern};

    wait_for(sub {
        my $n = () = $self->node($name)->error_log =~ /$pattern/g;

        return $n > ($$seen // 0) ? ($$seen = $n) : 0;
    }, 20, "$name: $pattern");

    return;
}


sub wait_all($self, $condition, $what = 'all nodes') {
    my @nodes = $self->running;

    return wait_for(sub {
        for my $node (@nodes) {
            return 0 unless eval { $condition->($node) };
        }
        return 1;
    }, 20, $what);
}


sub leader($self) {
    return wait_for(sub {
        for my $node ($self->running) {
            my @lines = grep { /fleet "shop": "\w+" / }
                split /\n/, $node->error_log;

            return $node if @lines && $lines[-1] =~ /leads$/;
        }
        return;
    }, 20, 'a leader');
}


sub finish($self) {
    my @nodes = $self->nodes;

    for my $node (@nodes) {
        Test::More::is($node->stop, 0, 'nginx ended with status 0')
            if $node->{pid};
        $node->_is_quiet('no alerts', qr/\[(?:alert|crit|emerg)\]/,
                         @{ $node->{allowed} });
        $node->_is_quiet('no sanitizer reports',
            qr/ERROR: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:/);
    }
    $self->{redis}->kill;
    Test::More::done_testing();

    return;
}


1;
