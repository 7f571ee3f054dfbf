package Bench::Instructions;

# User instructions of the worker per request, by callgrind: a run with one
# connection and so many requests, one with more, and the difference.
#
# It is repeatable to 0.1 %, on a busy machine too, but for what the C library
# does inside of malloc() and free(): that depends on where things happen to
# lie and is the same in each run of one configuration, but differs by some 300
# instructions between configurations that ask for the same.

use v5.36;

use Carp qw(croak);
use List::Util qw(sum0);

use Bench::Process qw(run);
use Canary::Util qw(connect_to);

use constant ALLOCATOR => qr/^(?:_int_malloc|_int_free|_int_realloc|
    unlink_chunk|malloc_consolidate|_mid_memalign|_int_memalign|sysmalloc)$/x;

use constant {
    FEWER => 1000,
    MORE  => 2000,
};


# Returns instructions per request, those inside of the allocator, and what
# each function takes itself.

sub measure($variants, $variant, %arg) {
    my ($total, $functions) = (0, {});

    for my $run ([FEWER, -1], [MORE, 1]) {
        my ($count, $sign) = @$run;
        my ($instructions, $of) = _run($variants, $variant, $count, %arg);

        $total += $sign * $instructions;
        $functions->{$_} += $sign * $of->{$_} for keys %$of;
    }

    my $requests = MORE - FEWER;
    my %each = map { $_ => $functions->{$_} / $requests } keys %$functions;

    my $allocator = sum0(map { $each{$_} } grep { $_ =~ ALLOCATOR } keys %each);

    return ($total / $requests, $allocator, \%each);
}


sub _run($variants, $variant, $count, %arg) {
    my $dir = "$arg{dir}/$count";
    my $process = $variants->start($variant, %arg, dir => $dir, command => [
        'valgrind', '--quiet', '--tool=callgrind',
        "--callgrind-out-file=$dir/callgrind.%p",
    ]);

    _ask($arg{port}, $count);
    $process->stop;

    my $file = _profile_of_worker($dir, $variant);

    return (_total($file), _functions($file));
}


# nginx writes one profile for each process: the one that is sought has seen
# requests.

sub _profile_of_worker($dir, $variant) {
    my @files = glob "$dir/callgrind.*";

    return $files[0] if $variant->{haproxy};

    my @found = grep { _text($_) =~ /ngx_http_process_request/ } @files;
    croak "not one profile of a worker but @found" if @found != 1;

    return $found[0];
}


sub _text($file) {
    open my $in, '<', $file or croak "$file: $!";
    local $/;

    return <$in>;
}


sub _ask($port, $count) {
    my $socket = connect_to($port) or croak "connect: $!";

    for my $n (1 .. $count) {
        my $user = sprintf 'u%09d', $n;

        syswrite $socket,
            "GET / HTTP/1.1\r\nHost: localhost\r\nX-User: $user\r\n\r\n";
        my $answer = '';
        until ($answer =~ /\r\n\r\nv[12]\n\z/) {
            sysread $socket, $answer, 65536, length $answer
                or croak "no good answer: $answer";
        }
    }

    return;
}


sub _total($file) {
    return _text($file) =~ /^(?:summary|totals): (\d+)/m ? $1
        : croak "$file tells no total";
}


# Functions without a symbol are one. Where filters jump to each other, the
# profiler takes them for the one that was called, ngx_http_send_header.

sub _functions($file) {
    my %of;

    for (split /\n/, run('callgrind_annotate', '--threshold=100', $file)) {
        my ($number, $name) = /^\s*([\d,]+) \([^)]*\)\s+\S*:(\S+)/ or next;

        $name = 'nginx, without a symbol' 
            if $name =~ /^0x|^ngx_http_send_header$/;
        $name =~ s/@.*|[.](?:constprop|part|isra)[.].*//;
        $of{$name} += $number =~ tr/,//dr;
    }

    return \%of;
}


1;
