package Demo;

# What tools/demo and tools/fleet-demo share: processes that end with the
# program, whatever happens; nginx; users (tools/load); the API; and words.

use v5.36;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(:signal_h _exit setsid WNOHANG);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(attempt clean_up directory check_port start stop
    start_nginx said start_users read_users stop_users call elapsed ratio
    happened colour);

my @signals = qw(INT TERM HUP PIPE);

delete @ENV{grep { /_proxy$/i } keys %ENV};
my $http = HTTP::Tiny->new(timeout => 10);
my $json = JSON::PP->new->canonical;

my ($green, $yellow, $red, $plain) = -t STDOUT && !defined $ENV{NO_COLOR}
    ? ("\e[32m", "\e[33m", "\e[31m", "\e[0m") : ('') x 4;

my $began = time;
my ($directory, @started);                      # pids
my ($load, $load_pid, $load_buffer, $users);

###############################################################################
# Processes.

# Does it; returns what it died of, as of a signal, or ''. From then on signals
# are ignored: what is left to do is to clean up.

sub attempt($what) {
    my $interrupted;

    $| = 1;
    $SIG{$_} = sub { $interrupted = 1; die "Interrupted.\n" } for @signals;

    my $error = eval { $what->(); 1 } ? '' : $@;

    # HTTP::Tiny makes an answer of it

    $error = "Interrupted.\n" if $interrupted;

    $SIG{$_} = 'IGNORE' for @signals;
    stop_users();

    return $error;
}

# Nothing that was started here stays, the last one ends first.

sub clean_up() {
    stop($started[-1]) while @started;
    remove_tree($directory) if defined $directory;
}

# For all files; others may look into it, since workers are another user.

sub directory() {
    $directory = tempdir('nginx-canary-XXXXXX', TMPDIR => 1);
    chmod 0755, $directory;

    return $directory;
}

sub check_port($port, $advice) {
    IO::Socket::INET->new(
        LocalAddr => "127.0.0.1:$port", Listen => 1, ReuseAddr => 1)
        or die "Port $port of 127.0.0.1 can't be used: $!.\n$advice";
}

# Does this in a process, whose id it returns. In a session of its own: Ctrl-C
# is for this program, which then stops it; no signal may come between.

sub start($what) {
    my $old = POSIX::SigSet->new;
    my $new = POSIX::SigSet->new(SIGINT, SIGTERM, SIGHUP, SIGPIPE);
    sigprocmask(SIG_BLOCK, $new, $old);

    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for @signals;
        setsid();
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        sigprocmask(SIG_SETMASK, $old);

        eval { $what->(); 1 } or print STDERR $@;
        _exit(1);
    }

    push @started, $pid;
    sigprocmask(SIG_SETMASK, $old);

    return $pid;
}

sub stop($pid) {
    kill 'TERM', $pid;
    my $end = time + 10;

    until (ended($pid)) {
        kill 'KILL', -$pid if time > $end;      # its children too
        sleep 0.05;
    }
}

sub ended($pid) {
    waitpid($pid, WNOHANG) or return 0;
    @started = grep { $_ != $pid } @started;

    return 1;
}

# With this prefix, where it finds the module in modules/; returns its pid.

sub start_nginx($dir, $module, $conf) {
    symlink dirname($module), "$dir/modules" or die "$dir/modules: $!\n";

    my $pid = start(sub {
        open STDERR, '>', "$dir/stderr";        # also has what only warns
        exec 'nginx', '-e', 'error.log', '-p', $dir, '-c', $conf,
            '-g', 'daemon off;' or die "nginx: $!\n";
    });

    until (-s "$dir/nginx.pid") {
        die "nginx did not start.\n", said("$dir/stderr") if ended($pid);
        sleep 0.05;
    }

    return $pid;
}

# The last lines of a file, of a log.

sub said($name, $lines = 20) {
    open my $file, '<', $name or return;
    my @all = <$file>;

    return splice @all, @all > $lines ? -$lines : 0;
}

###############################################################################
# The users.

sub start_users($port, $connections, $rate) {
    pipe $load, my $write or die "pipe: $!\n";

    $load_pid = start(sub {
        open STDOUT, '>&', $write;
        exec dirname(__FILE__) . '/load', $port, $connections, $rate
            or die "tools/load: $!\n";
    });

    close $write;
    $load_buffer = '';
    $users = { requests => 0, errors => 0, releases => {} };
}

# What tools/load has said last, at its end if $wait.

sub read_users($wait = 0) {
    my $select = IO::Select->new($load);

    while ($load_pid && ($wait || $select->can_read(0))) {
        my $n = sysread $load, $load_buffer, 65536, length $load_buffer;
        next if !defined $n && $!{EINTR};
        last if $wait && !$n;
        die "tools/load ended.\n" unless $n;
    }

    if ($load_buffer =~ s/.*?([^\n]*)\n(?=[^\n]*\z)//s) {
        $users = $json->decode($1);
    }

    return $users;
}

# Returns all that they have seen.

sub stop_users() {
    if ($load_pid) {
        kill 'TERM', $load_pid;
        read_users(1);
        stop($load_pid);
        undef $load_pid;
    }

    return $users;
}

###############################################################################
# The API.

sub call($method, $url, $body = undef) {
    my $answer = $http->request($method, $url,
        $body ? { content => $json->encode($body) } : {});

    $answer->{success}
        or die "$method $url: $answer->{status} $answer->{reason}\n"
            . "$answer->{content}\n";

    return $json->decode($answer->{content});
}

###############################################################################
# Words.

sub elapsed() {
    return time - $began;
}

sub ratio($value) {
    return defined $value ? sprintf('%.4g', 100 * $value) . ' %' : '-';
}

# "v3 rolled back"

sub happened($release, $what) {
    return ($release ? "$release " : '') . $what =~ tr/_/ /r;
}

sub colour($line) {
    $line =~ s/\b(passing|promoted)\b/$green$1$plain/g;
    $line =~ s/\b(undecided|paused|baking|isolated)\b/$yellow$1$plain/g;
    $line =~ s/\b(failing|rolled back|halted)\b/$red$1$plain/g;

    return $line;
}

1;
