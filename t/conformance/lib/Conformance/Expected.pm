package Conformance::Expected;

# The tests of nginx's suite that are expected to be worse behind endpoints, and
# why: lines of
#
#   FILE | MODES | NGINX | TEST | REASON
#
# FILE and TEST may have `*`, for anything; MODES is a list, or `*`; NGINX is
# `*`, a version, or one after `>=` or `<`.

use v5.36;

use Exporter qw(import);
use List::Util qw(first);

our @EXPORT_OK = qw(number);


sub new($class, $path, $version) {
    my $self = bless { lines => [] }, $class;

    open my $in, '<', $path or die "$path: $!\n";
    while (my $line = <$in>) {
        next if $line =~ /^\s*(?:#|$)/;

        my ($file, $modes, $nginx, $test, $reason)
            = split /\s*\|\s*/, $line =~ s/^\s+|\s+$//gr, 5;

        die "$path line $.: FILE | MODES | NGINX | TEST | REASON\n"
            if !length($reason // '');
        push @{ $self->{lines} }, {
            text  => "$file | $modes | $nginx | $test",
            file  => _pattern($file),
            test  => _pattern($test),
            modes => { map { $_ => 1 } split /[\s,]+/, $modes },
            reason => $reason,
        } if _is_of($nginx, $version);
    }

    return $self;
}


sub _pattern($text) {
    my $pattern = join '.*', map { quotemeta } split /\*/, $text, -1;

    return qr/^$pattern$/;
}


sub _is_of($wanted, $version) {
    return 1 if $wanted eq '*';

    my ($operator, $than) = $wanted =~ /^(>=|<|)(\d+\.\d+\.\d+)$/
        or die "no version of nginx: '$wanted'\n";
    my $order = number($version) <=> number($than);

    return $operator eq '>=' ? $order >= 0
        : $operator eq '<' ? $order < 0 : $order == 0;
}


# Of a version, for comparison.

sub number($version) { return sprintf '%d%03d%03d', split /\./, $version }


sub reason($self, %test) {
    my $line = first {
        ($_->{modes}{'*'} || $_->{modes}{ $test{mode} })
            && $test{file} =~ $_->{file} && $test{name} =~ $_->{test}
    } @{ $self->{lines} };

    $line->{used} = 1 if $line;

    return $line && $line->{reason};
}


sub unused($self) {
    return map { $_->{text} } grep { !$_->{used} } @{ $self->{lines} };
}


1;
