package Canary::Nginx;

# The part of Canary::Test that writes nginx's configuration, starts nginx and
# stops it. Its methods are documented there.

use v5.36;

use Carp qw(croak);
use List::Util qw(first);
use POSIX qw(WNOHANG);

use Canary::Util qw(now patience pause reserve_port wait_for);

use constant {
    START_TIMEOUT => 20,
    STOP_TIMEOUT  => 20,
};

use constant API_SERVER => <<'EOC';
server {
    listen 127.0.0.1:%%PORT_api%%;
    access_log off;
    location /canary/ {
        canary_api write=on;
        allow 127.0.0.1;
        deny all;
    }
}
EOC


# Configuration.

sub _configure($self, $http, %opt) {
    my $config = $self->{config};

    $config->{http} = $http if defined $http;
    for my $key (qw(events main state_path user workers)) {
        $config->{$key} = delete $opt{$key} if exists $opt{$key};
    }
    $config->{workers} = 0 if !$self->has_processes;
    croak "unknown option: ", join ', ', keys %opt if %opt;

    return $self->expand($self->nginx_conf(%$config));
}


# One nginx, for the state that it has, is one prefix and one configuration
# file: who is to be taken for another has its, too, until that writes it anew.

sub write_config($self, $http, %opt) {
    $self->{home} = delete($opt{as})->{dir} if exists $opt{as};

    my $text = $self->_configure($http, %opt);

    return _write($self->_home . '/nginx.conf', $text);
}


sub nginx_conf($self, %part) {
    my $dir = $part{dir} // $self->{dir};
    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : $part{level} // 'notice';
    my $path = exists $part{state_path} ? $part{state_path} : "$dir/canary";
    my @lines = (
        'daemon off;',
        "pid $dir/nginx.pid;",
        "error_log $dir/error.log $level;",
        $part{workers} ? "worker_processes $part{workers};"
            : 'master_process off;',
        $> == 0 ? 'user ' . ($part{user} // 'root') . ';' : (),
        $self->{module} ne '' ? "load_module $self->{module};" : (),
        # what a sanitizer needs to be told once more, in a new binary
        (map { "env $_;" } grep { $ENV{$_} }
             qw(ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS)),
        $part{main} // '',
        'events {', $part{events} // '', '}',
        'http {',
        "access_log $dir/access.log;",
        'client_body_temp_path temp_client_body;',
        (map { "${_}_temp_path temp_$_;" }
             grep { $self->has("http_$_") } qw(proxy fastcgi uwsgi scgi)),
        defined $path && $part{http} !~ /\bcanary_state_path\s/
            ? "canary_state_path $path;" : (),
        $part{http},
        '}',
    );

    return join("\n", @lines) . "\n";
}


sub expand($self, $text) {
    $text =~ s/%%API%%/API_SERVER/ge;
    $text =~ s/%%DIR%%/$self->{dir}/g;
    $text =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;
    $text =~ s/%%(\d+)ms%%/patience($1) . 'ms'/ge;

    croak "what is $1?" if $text =~ /(%%\w+%%)/;

    return $text;
}


# The port of that name: a backend's, or a free one that stays ours.

sub port($self, $name) {
    my $backend = $self->{backends}{$name};
    return $backend->port if $backend;

    $self->{ports}{$name} //= [ reserve_port() ];

    return $self->{ports}{$name}[0];
}


sub line_of($self, $text) {
    my @lines = split /\n/, $self->read_file('check.conf');
    my $index = first { index($lines[$_], $text) >= 0 } 0 .. $#lines;

    return defined $index ? $index + 1 : croak "no line with '$text'";
}


sub dir($self) { return $self->{dir} }


sub read_file($self, $name) {
    open my $in, '<', "$self->{dir}/$name" or return '';
    local $/;

    return <$in> // '';
}


sub write_file($self, $name, $text) {
    return _write("$self->{dir}/$name", $text);
}


sub _write($path, $text) {
    open my $out, '>', $path or croak "$path: $!";
    print $out $text;
    close $out or croak "$path: $!";

    return;
}


sub error_log($self)  { return $self->read_file('error.log') }
sub access_log($self) { return $self->read_file('access.log') }


# What the binary is; of() has no more than that.

sub of($class, $binary) { return bless { binary => $binary }, $class }


sub _build($self) {
    $self->{build} //= do {
        open my $out, '-|', "$self->{binary} -V 2>&1"
            or croak "$self->{binary}: $!";
        local $/;
        <$out> // '';
    };

    return $self->{build};
}


sub version($self) {
    my @parts = $self->_build =~ m{nginx/(\d+)\.(\d+)\.(\d+)}
        or croak "$self->{binary} -V tells no version";

    return $parts[0] * 1_000_000 + $parts[1] * 1_000 + $parts[2];
}


# Modules that are not built by default are named by --with, others are there
# unless --without names them.

sub has($self, $module) {
    my %on_request = map { $_ => 1 } qw(
        http_addition http_auth_request http_dav http_gunzip http_realip
        http_slice http_ssl http_stub_status http_sub http_v2 http_v3
    );

    return $on_request{$module}
        ? $self->_build =~ /--with-${module}_module\b/
        : $self->_build !~ /--without-${module}_module\b/;
}


sub has_debug($self) { return $self->_build =~ /--with-debug\b/ }


sub _home($self) { return $self->{home} // $self->{dir} }


# Processes.

sub start($self, $http = undef, %opt) {
    croak 'nginx runs already' if $self->{pid};

    $self->write_config($http, %opt);
    unlink "$self->{dir}/nginx.pid";

    my $pid = fork() // croak "fork: $!";
    $self->_exec('nginx.conf', 'error.log') unless $pid;
    $self->{pid} = $pid;
    delete $self->{last_status};

    my $started = eval {
        wait_for(sub {
            die "it ended\n" if $self->_reap;
            return $self->_is_up;
        }, START_TIMEOUT, 'nginx to start');
    };
    croak "nginx did not start: $@", $self->_log_tail unless $started;

    return $self;
}


# The same as an orphan, since nginx takes USR2 for a slip of the terminal
# while its first parent lives. All that descends from it is reaped here.

sub start_orphan($self, $http, %opt) {
    use constant PR_SET_CHILD_SUBREAPER => 36;
    my %number = (x86_64 => 157, aarch64 => 167, i686 => 172);
    my $prctl = $number{ (POSIX::uname())[4] } // return 0;

    return 0 if syscall($prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0;

    # A new binary is found by the name that the old one was started by.
    ($self->{binary}) = grep { -x } map { "$_/$self->{binary}" }
        split /:/, $ENV{PATH} if $self->{binary} !~ m{/};

    $self->write_config($http, %opt);
    unlink "$self->{dir}/nginx.pid";

    my $parent = fork() // croak "fork: $!";
    unless ($parent) {
        my $pid = fork() // POSIX::_exit(1);
        $self->_exec('nginx.conf', 'error.log') unless $pid;
        eval {
            wait_for(sub { -s "$self->{dir}/nginx.pid" }, START_TIMEOUT,
                     'nginx to start');
        };
        POSIX::_exit(0);
    }
    waitpid $parent, 0;
    $self->{pid} = $self->_pid_in('nginx.pid');
    delete $self->{last_status};
    wait_for(sub { $self->_is_up }, START_TIMEOUT, 'nginx to start');

    return 1;
}


sub _pid_in($self, $name) {
    return $self->read_file($name) =~ /^(\d+)$/m ? $1
        : croak "no pid in $name";
}


# Starts the new binary beside the old one; returns its master.

sub upgrade($self) {
    CORE::kill USR2 => $self->{pid};
    wait_for(sub { -s "$self->{dir}/nginx.pid.oldbin"
                       && -s "$self->{dir}/nginx.pid" }, START_TIMEOUT,
             'the new binary');
    my $new = $self->_pid_in('nginx.pid');
    push @{ $self->{masters} }, $self->{pid}, $new;
    wait_for(sub {
        local $self->{pid} = $new;
        return $self->_serving($self->worker_pids);
    }, START_TIMEOUT, 'its workers');

    return $new;
}


# Waits for the end of a master.

sub wait_end($self, $master) {
    wait_for(sub { !_alive($master) }, STOP_TIMEOUT, "the end of $master");
    waitpid $master, WNOHANG;

    return $self;
}


# Makes one of both masters the nginx of this test.

sub turn_to($self, $master) {
    $self->{pid} = $master;

    return $self;
}


# Becomes nginx.

sub _exec($self, $config, $log) {
    alarm 0;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', "$self->{dir}/stderr.log";
    open STDERR, '>&', \*STDOUT;

    my @command = $self->_command($config, $log);

    exec { $command[0] } @command or POSIX::_exit(127);
}


sub _command($self, $config, $log) {
    my $home = $config eq 'nginx.conf' ? $self->_home : $self->{dir};

    return ($self->_valgrind, $self->{binary}, '-p', "$home/",
            '-c', "$home/$config", '-e', "$self->{dir}/$log");
}


# Not in valgrind, unless that is asked for.

sub has_processes($self) {
    return !$ENV{TEST_CANARY_VALGRIND} || $ENV{TEST_CANARY_VALGRIND_MASTER};
}


# What valgrind is to be silent about is in that file.

sub _valgrind($self) {
    return unless $ENV{TEST_CANARY_VALGRIND};

    return (qw(valgrind --quiet --leak-check=full --show-leak-kinds=definite
               --errors-for-leak-kinds=definite --num-callers=25
               --keep-debuginfo=yes),
            "--suppressions=$ENV{TEST_CANARY_VALGRIND}",
            "--log-file=$self->{dir}/valgrind.%p.log");
}


sub _is_up($self) {
    return 0 unless -s "$self->{dir}/nginx.pid";

    return $self->_serving($self->worker_pids);
}


# Are these all the workers that there should be?

sub _serving($self, @pids) {
    my $workers = $self->{config}{workers};

    return $workers eq 'auto' ? @pids > 0 : @pids == ($workers || 1);
}


sub check($self, $http, %opt) {
    my %kept = %{ $self->{config} };
    my $text = $self->_configure($http, %opt);

    $self->{config} = \%kept;
    $text =~ s/error\.log/check.log/;
    $text =~ s/nginx\.pid/check.pid/;
    $self->write_file('check.conf', $text);
    unlink "$self->{dir}/check.out";

    my $pid = fork() // croak "fork: $!";
    if (!$pid) {
        $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
            'detect_leaks=0';
        alarm 0;
        open STDOUT, '>', "$self->{dir}/check.out";
        open STDERR, '>&', \*STDOUT;
        my @command = ($self->_command('check.conf', 'check.log'), '-t');
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;

    return ($? == 0 ? 1 : 0, $self->read_file('check.out'));
}


sub reload($self, $http = undef, %opt) {
    my ($gone, $fails) = delete @opt{qw(gone fails)};
    my %old = map { $_->{pid} => 1 } $self->_children;
    my $refused = $self->_refusals;
    my $begun = $self->_reconfigurations;

    $self->write_config($http, %opt);
    CORE::kill HUP => $self->{pid};

    my $done = wait_for(sub {
        return 'refused' if $self->_refusals > $refused;
        return !$fails && $self->_reconfigurations > $begun
            unless $self->{config}{workers};

        my @serving = grep { $_->{title} !~ /shutting down/ }
            $self->_children;
        return 0 if grep { $old{ $_->{pid} } } @serving;

        return $self->_serving(
            grep { $_->{title} eq 'worker process' } @serving);
    }, START_TIMEOUT, 'the new workers');

    if ($done eq 'refused') {
        my @reasons = $self->error_log =~ /(.*\[emerg\].*)/g;

        croak "the reload was refused: $reasons[-1]" unless $fails;
        $self->allow_log(quotemeta $reasons[-1]);

        return $reasons[-1];
    }
    croak 'the reload was expected to be refused' if $fails;

    if ($gone) {
        wait_for(
            sub { !grep { $old{ $_->{pid} } } $self->_children },
            STOP_TIMEOUT, 'the old workers to end');
    }

    return $self;
}


# The same by a restart where there is no master that could reload.

sub renew($self, $http = undef, %opt) {
    return $self->reload($http, gone => 1, %opt) if $self->has_processes;

    $self->stop;

    return $self->start($http, %opt);
}


sub _refusals($self) {
    return scalar(() = $self->error_log =~ /\[emerg\]/g);
}


# A single process that has begun to reconfigure itself answers no request
# until that is done.

sub _reconfigurations($self) {
    return scalar(() = $self->error_log =~ /\[notice\] .* reconfiguring$/mg);
}


# Stops gracefully and returns the exit status of nginx.

sub stop($self, $signal = 'QUIT') {
    $self->_end_nginx($signal);

    return $self->{last_status};
}


# Kills all of its processes at once, as a power failure would.

sub crash($self) {
    # a master that is stopped begins no others

    CORE::kill STOP => $self->{pid};
    wait_for(sub { _state($self->{pid}) =~ /[TtZX]/ }, STOP_TIMEOUT,
             'nginx to be stopped');

    my @pids = ($self->{pid}, map { $_->{pid} } $self->_children);

    CORE::kill KILL => @pids;
    wait_for(sub { $self->_reap }, STOP_TIMEOUT, 'nginx to be gone');
    wait_for(sub { !grep { _alive($_) } @pids }, STOP_TIMEOUT,
             'its processes to be gone');

    return;
}


# A process that nobody has waited for yet is none any more.

sub _alive($pid) { return _state($pid) !~ /[ZX]/ }


sub _state($pid) {
    open my $in, '<', "/proc/$pid/stat" or return 'X';

    return (<$in> // '') =~ /^\d+ \(.*\) (\S)/ ? $1 : 'X';
}


sub _end_nginx($self, $signal) {
    my $deadline = now() + patience(STOP_TIMEOUT);
    my $sent = '';

    while ($self->{pid} && !$self->_reap) {
        my $wanted = now() > $deadline ? 'KILL' : $signal;

        if ($sent ne $wanted) {
            my @pids = $self->{pid};
            push @pids, map { $_->{pid} } $self->_children
                if $wanted eq 'KILL';
            CORE::kill $wanted => @pids;
            $sent = $wanted;
        }
        pause(0.01);
    }

    return;
}


sub _reap($self) {
    return 1 unless $self->{pid};

    # A new binary is the child of the old one while that lives.
    my $reaped = waitpid($self->{pid}, WNOHANG);
    return 0 if $reaped == 0 || $reaped == -1 && _alive($self->{pid});

    $self->{last_status} = $? if $reaped == $self->{pid};
    delete $self->{pid};

    return 1;
}


# The processes of our nginx: { pid, title }, as /proc has them.

sub _children($self) {
    my $master = $self->{pid} // return;
    my $logged = $ENV{TEST_CANARY_VALGRIND} && $self->_logged_titles;
    my @children;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my ($pid, $parent) = (<$in> // '') =~ /^(\d+) \(.*\) \S (\d+)/
            or next;
        next unless $parent == $master;

        open $in, '<', "/proc/$pid/cmdline" or next;
        my $command = <$in> // '';
        my ($title) = $logged ? $logged->{$pid} // next
            : $command =~ /^nginx: ([\w ]*\w)/ or next;
        next if $title eq 'master process';    # it has no title yet
        push @children, { pid => $pid, title => $title };
    }

    return @children;
}


# In valgrind a process cannot change its title: by pid, what the log tells.

sub _logged_titles($self) {
    my %title;

    for ($self->error_log =~ /(\d+#\d+: (?:start|gracefully) .*)/g) {
        $title{$2} = $1 if /: start ([a-z ]+) (\d+)$/;
        $title{$1} .= ' is shutting down' if /^(\d+)#\d+: gracefully/;
    }

    return \%title;
}


sub master_pid($self) { return $self->{pid} }


sub _titled($self, $title) {
    my @found = grep { $_->{title} eq $title } $self->_children;

    return map { $_->{pid} } @found;
}


sub workers($self) { return $self->{config}{workers} || 1 }


sub worker_pids($self) {
    return $self->{pid} // () unless $self->{config}{workers};

    my @pids = sort { $a <=> $b } $self->_titled('worker process');

    return @pids;
}


sub old_worker_pids($self) {
    return $self->_titled('worker process is shutting down');
}


sub helper_pid($self) {
    my ($pid) = $self->_titled('cache manager process');

    return $pid;
}


sub kill($self, $signal, @pids) {
    my %ours = map { $_ => 1 } $self->{pid} // (),
        map { $_->{pid} } $self->_children;

    $ours{$_} or croak "$_ is no process of this nginx" for @pids;

    return CORE::kill $signal => @pids;
}


# What a test that was cut short shows.

sub _log_tail($self) {
    my @lines = split /^/, $self->error_log . $self->read_file('stderr.log');

    splice @lines, 0, -30 if @lines > 30;

    return "the end of the error log:\n", @lines;
}


1;
