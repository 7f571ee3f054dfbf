package Bench::Rounds;

# CPU time per request, throughput and latency under full load: all variants
# are started, then each is loaded for a second, round by round in another
# order, and set against the floor of the same round; then all are started
# anew, since two instances of one program differ by 2 or 3 %.

use v5.36;

use Carp qw(croak);
use List::Util qw(shuffle sum);

use Bench::Process qw(cpu_ns run);
use Bench::Stats qw(mean standard_error);

use constant {
    CONNECTIONS => 16,
    SECONDS     => 1,
};


sub measure($variants, $list, %arg) {
    my %result = map { $_->{name} => {
        title => $_->{title}, failed => 0, by_start => [],
    } } @$list;

    srand 1;

    for my $start (1 .. $arg{starts}) {
        my %instance = map {
            $_->{name} => _start($variants, $_, %arg,
                                 dir => "$arg{dir}/$start-$_->{name}")
        } @$list;
        my %ratios;

        for my $round (1 .. $arg{rounds}) {
            my %of = map { $_ => _load($instance{$_}, %arg) }
                shuffle sort keys %instance;

            for my $name (keys %of) {
                _add($result{$name}, $of{$name}, $of{floor});
                push @{ $ratios{$name} },
                    $of{$name}{cpu} / $of{floor}{cpu};
            }
        }

        push @{ $result{$_}{by_start} }, mean(@{ $ratios{$_} })
            for keys %ratios;
        $_->{process}->stop for values %instance;
    }

    $_->{standard_error} = standard_error(@{ $_->{by_start} })
        for values %result;

    return map { $result{ $_->{name} } } @$list;
}


sub _start($variants, $variant, %arg) {
    my $port = $arg{port}->();
    my $process = $variants->start($variant, dir => $arg{dir},
                                   port => $port, cpu => $arg{server_cpu});
    my $pid = $variant->{haproxy} ? $process->pid
        : $process->child('worker process');

    return { process => $process, port => $port, pid => $pid };
}


# A second of load: CPU time per request and times in microseconds.

sub _load($instance, %arg) {
    my $before = cpu_ns($instance->{pid});
    my $text = run('taskset', '-c', $arg{client_cpu}, 'wrk', '-t1',
                   '-c' . CONNECTIONS, '-d' . SECONDS . 's', '--latency',
                   '-s', $arg{script}, "http://127.0.0.1:$instance->{port}/");
    my $cpu = (cpu_ns($instance->{pid}) - $before) / 1000;

    my ($requests, $duration, $failed, $p50, $p99) =
        $text =~ /^result (\d+) (\d+) (\d+) (\d+) (\d+)$/m
        or croak "wrk said:\n$text";

    croak 'there were no answers' unless $requests;

    return {
        cpu        => $cpu / $requests,
        throughput => $requests / $duration,
        p50        => $p50,
        p99        => $p99,
        busy       => $cpu / $duration,
        failed     => $failed,
    };
}


sub _add($result, $of, $floor) {
    push @{ $result->{$_} }, $of->{$_} for qw(cpu busy);
    push @{ $result->{"${_}_ratio"} }, $of->{$_} / $floor->{$_}
        for qw(cpu throughput p99);
    $result->{failed} += $of->{failed};

    return;
}


1;
