package Bench::Process;

# A process on one core of the machine, with a directory of its own, and what
# /proc tells of it.
#
#   my $nginx = Bench::Process->nginx($dir, $cpu, $conf);
#   $nginx->stop;
#
# What was started is stopped at the end at the latest.

use v5.36;

use Carp qw(croak);
use Exporter qw(import);
use File::Path qw(make_path);
use POSIX qw(WNOHANG);

use Canary::Util qw(connect_to pause wait_for);

our @EXPORT_OK = qw(children cpu_ns find_nginx output_of run sleeps);

use constant {
    START_TIMEOUT => 60,
    STOP_TIMEOUT  => 20,
};

my %running;                                    # by pid


sub start($class, %arg) {
    make_path($arg{dir});

    my $pid = fork() // croak "fork: $!";
    _become($arg{cpu}, "$arg{dir}/output", @{ $arg{command} }) unless $pid;

    my $self = bless { %arg, pid => $pid }, $class;
    $running{$pid} = $self;

    return $self;
}


# An nginx with this configuration, `command` before it (as valgrind), and
# ready when the port answers.

sub nginx($class, %arg) {
    write_file("$arg{dir}/nginx.conf", $arg{conf});
    unlink "$arg{dir}/nginx.pid";

    return $class->start(
        dir     => $arg{dir},
        cpu     => $arg{cpu},
        command => [ @{ $arg{command} // [] }, find_nginx(),
                     nginx_options($arg{dir}) ],
    )->wait_for_port($arg{port});
}


sub nginx_options($dir) {
    return '-p', "$dir/", '-c', "$dir/nginx.conf", '-e', "$dir/error.log";
}


sub find_nginx() {
    return $ENV{BENCH_NGINX} || 'nginx';
}


sub write_file($path, $text) {
    my ($dir) = $path =~ m{(.*)/};

    make_path($dir);
    open my $out, '>', $path or croak "$path: $!";
    print $out $text;
    close $out or croak "$path: $!";

    return;
}


sub _become($cpu, $output, @command) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $output;
    open STDERR, '>&', \*STDOUT;

    exec 'taskset', '-c', $cpu, @command or POSIX::_exit(127);
}


sub wait_for_port($self, $port) {
    wait_for(sub {
        croak "it ended:\n", $self->messages if $self->_reap;
        return connect_to($port);
    }, START_TIMEOUT, "port $port");

    return $self;
}


# What it wrote, for an error message.

sub messages($self) {
    my $text = '';

    for my $name (qw(output error.log)) {
        open my $in, '<', "$self->{dir}/$name" or next;
        local $/;
        $text .= <$in> // '';
    }

    return substr($text, 0, 4000);
}


sub pid($self) { return $self->{pid} }
sub dir($self) { return $self->{dir} }


# The child of an nginx with that title; it listens before it has any.

sub child($self, $title) {
    return wait_for(sub { ($self->titled($title))[0] }, START_TIMEOUT, $title);
}


sub titled($self, $title) {
    return grep { _command($_) =~ /^nginx: \Q$title\E(?! is shutting)/ }
        children($self->{pid});
}


sub _command($pid) {
    open my $in, '<', "/proc/$pid/cmdline" or return '';

    return <$in> // '';
}


# Under valgrind a signal may be missed: it is sent until the process ends.

sub stop($self) {
    my $tries = 0;

    wait_for(sub {
        return 1 if $self->_reap;
        CORE::kill TERM => $self->{pid} if $tries++ % 50 == 0;
        return 0;
    }, STOP_TIMEOUT, 'the end of a process');

    return;
}


sub _reap($self) {
    return 1 unless $running{ $self->{pid} };
    return 0 unless waitpid($self->{pid}, WNOHANG) == $self->{pid};

    delete $running{ $self->{pid} };

    return 1;
}


my $owner = $$;

END {
    if ($$ == $owner) {
        local $?;
        for my $process (values %running) {
            eval { $process->stop; 1 } or CORE::kill KILL => $process->{pid};
        }
    }
}


# Runs a command to its end and returns what it printed; dies if it failed.

sub run(@command) {
    my ($status, $text) = output_of(@command);

    croak "@command failed:\n$text" if $status;

    return $text;
}


sub output_of(@command) {
    my $pid = open(my $out, '-|') // croak "fork: $!";

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }

    my $text = do { local $/; <$out> } // '';
    close $out;

    return ($?, $text);
}


# What /proc tells.

sub children($pid) {
    open my $in, '<', "/proc/$pid/task/$pid/children"
        or croak "this kernel does not tell the children of a process";

    return split ' ', <$in> // '';
}


sub cpu_ns($pid) {
    open my $in, '<', "/proc/$pid/schedstat"
        or croak "this kernel does not tell a process's time in nanoseconds";

    my ($ns) = split ' ', <$in>;

    return $ns;
}


# How often the process went to sleep.

sub sleeps($pid) {
    open my $in, '<', "/proc/$pid/status" or croak "/proc/$pid/status: $!";
    my ($n) = join('', <$in>) =~ /^voluntary_ctxt_switches:\s*(\d+)/m;

    return $n;
}


1;
