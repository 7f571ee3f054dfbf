package Canary::Ctl;

# Runs canaryctl, as a user would.
#
#   my $ctl = Canary::Ctl->new($t, "http://127.0.0.1:$port/canary/");
#   my $run = $ctl->run('list');           # waits for its end
#   is($run->{status}, 0);                 # out, err: what it wrote
#
#   my $run = $ctl->start('events', '--follow');
#   $ctl->wait_output($run, qr/promoted/);
#   $ctl->finish($run, 'INT');             # status 0, signal => 2
#
# With `terminal => [ROWS, COLUMNS]` it has a pseudo terminal instead of
# files, and `out` is all that was written there. Options: env => { NAME =>
# VALUE, or undef }, input => 'text', program => another one.

use v5.36;

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Pty;
use IO::Select;
use POSIX qw(WNOHANG);

use Canary::Util qw(now patience pause);

use constant TIMEOUT => 60;

my $root = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));


sub new($class, $t, $url) {
    my $program = $ENV{TEST_CANARYCTL} // "$root/build/canaryctl";
    croak "no $program: run make build" unless -x $program;

    return bless { t => $t, url => $url, program => $program, runs => 0 },
        $class;
}


sub program($self) { return $self->{program} }


sub run($self, @args) {
    my $run = $self->start(@args);

    return $self->finish($run);
}


sub start($self, @args) {
    my %opt = ref $args[0] ? %{ shift @args } : ();
    my $name = 'ctl' . ++$self->{runs};
    my $run = { name => $name, args => \@args, out => '', err => '' };
    my $pty = $opt{terminal} ? IO::Pty->new : undef;

    $self->{t}->write_file("$name.in", $opt{input} // '');

    $run->{pty} = $pty;
    if ($pty) {
        $pty->slave->set_winsize(@{ $opt{terminal} });
        $run->{slave} = $pty->slave;    # keeps its state to be looked at
    }

    my $pid = fork() // croak "fork: $!";
    $self->_exec($run, \%opt) unless $pid;
    $run->{pid} = $pid;

    return $run;
}


sub _exec($self, $run, $opt) {
    my $dir = $self->{t}->dir;

    alarm 0;
    $SIG{$_} = 'DEFAULT' for qw(HUP INT TERM PIPE);
    delete @ENV{qw(CANARY_TOKEN_FILE NO_COLOR http_proxy HTTP_PROXY)};
    %ENV = (%ENV, CANARY_URL => $self->{url}, TERM => 'xterm',
            LC_ALL => 'C.UTF-8', %{ $opt->{env} // {} });
    delete @ENV{ grep { !defined $opt->{env}{$_} } keys %{ $opt->{env} } };

    if ($run->{pty}) {
        $run->{pty}->make_slave_controlling_terminal;
        my $fd = fileno $run->{slave};
        open STDIN, '<&', $fd;
        open STDOUT, '>&', $fd;
        open STDERR, '>&', $fd;

    } else {
        open STDIN, '<', "$dir/$run->{name}.in";
        open STDOUT, '>', $opt->{out} // "$dir/$run->{name}.out";
        open STDERR, '>', "$dir/$run->{name}.err";
    }

    exec { $opt->{program} // $self->{program} } 'canaryctl',
        @{ $run->{args} }
        or POSIX::_exit(127);
}


# What it has written so far.

sub output($self, $run) {
    if ($run->{pty}) {
        while (IO::Select->new($run->{pty})->can_read(0)) {
            sysread $run->{pty}, $run->{out}, 65536, length $run->{out}
                or last;
        }

    } else {
        $run->{out} = $self->{t}->read_file("$run->{name}.out");
        $run->{err} = $self->{t}->read_file("$run->{name}.err");
    }

    return $run->{out};
}


sub wait_output($self, $run, $pattern) {
    return $self->{t}->wait_for(sub { $self->output($run) =~ $pattern },
                                TIMEOUT, "$pattern of @{ $run->{args} }");
}


sub type($self, $run, $keys) {
    syswrite $run->{pty}, $keys;

    return;
}


sub finish($self, $run, $signal = undef) {
    my $deadline = now() + patience(TIMEOUT);

    kill $signal => $run->{pid} if $signal;

    while (waitpid($run->{pid}, WNOHANG) == 0) {
        $self->output($run);

        if (now() > $deadline) {
            kill KILL => $run->{pid};
            waitpid $run->{pid}, 0;
            croak "canaryctl @{ $run->{args} } does not end: $run->{out}";
        }
        pause(0.01);
    }

    $run->{status} = $? >> 8;
    $run->{signal} = $? & 127;
    $self->output($run);

    return $run;
}


1;
